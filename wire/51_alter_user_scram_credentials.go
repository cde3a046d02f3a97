package wire

// AlterUserSCRAMCredentialsRequest sets and deletes SCRAM credentials (KIP-554).
type AlterUserSCRAMCredentialsRequest struct {
	Deletions  []AlterUserSCRAMCredentialsRequestDeletion
	Upsertions []AlterUserSCRAMCredentialsRequestUpsertion
}

// AlterUserSCRAMCredentialsRequestDeletion deletes one mechanism of a user.
type AlterUserSCRAMCredentialsRequestDeletion struct {
	Name      string
	Mechanism int8
}

// AlterUserSCRAMCredentialsRequestUpsertion sets one mechanism of a user. The
// client has salted the password, so that the broker never sees it.
type AlterUserSCRAMCredentialsRequestUpsertion struct {
	Name           string
	Mechanism      int8
	Iterations     int32
	Salt           []byte // a view when decoded
	SaltedPassword []byte // a view when decoded
}

// Key returns KeyAlterUserSCRAMCredentials.
func (*AlterUserSCRAMCredentialsRequest) Key() Key { return KeyAlterUserSCRAMCredentials }

// Default sets Kafka's defaults.
func (r *AlterUserSCRAMCredentialsRequest) Default() { *r = AlterUserSCRAMCredentialsRequest{} }

func (r *AlterUserSCRAMCredentialsRequest) visit(v *visitor) {
	array(v, &r.Deletions, 3, (*AlterUserSCRAMCredentialsRequestDeletion).visit)
	array(v, &r.Upsertions, 9, (*AlterUserSCRAMCredentialsRequestUpsertion).visit)
	v.tags()
}

func (d *AlterUserSCRAMCredentialsRequestDeletion) visit(v *visitor) {
	v.str(&d.Name)
	v.int8(&d.Mechanism)
	v.tags()
}

func (u *AlterUserSCRAMCredentialsRequestUpsertion) visit(v *visitor) {
	v.str(&u.Name)
	v.int8(&u.Mechanism)
	v.int32(&u.Iterations)
	v.bytes(&u.Salt)
	v.bytes(&u.SaltedPassword)
	v.tags()
}

// AlterUserSCRAMCredentialsResponse answers an AlterUserSCRAMCredentialsRequest.
type AlterUserSCRAMCredentialsResponse struct {
	ThrottleTimeMs int32
	Results        []AlterUserSCRAMCredentialsResponseResult
}

// AlterUserSCRAMCredentialsResponseResult is what became of one user.
type AlterUserSCRAMCredentialsResponseResult struct {
	User         string
	ErrorCode    ErrorCode
	ErrorMessage *string
}

// Key returns KeyAlterUserSCRAMCredentials.
func (*AlterUserSCRAMCredentialsResponse) Key() Key { return KeyAlterUserSCRAMCredentials }

// Default sets Kafka's defaults.
func (r *AlterUserSCRAMCredentialsResponse) Default() { *r = AlterUserSCRAMCredentialsResponse{} }

func (r *AlterUserSCRAMCredentialsResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	array(v, &r.Results, 5, (*AlterUserSCRAMCredentialsResponseResult).visit)
	v.tags()
}

func (r *AlterUserSCRAMCredentialsResponseResult) visit(v *visitor) {
	v.str(&r.User)
	v.code(&r.ErrorCode)
	v.nullStr(&r.ErrorMessage)
	v.tags()
}
