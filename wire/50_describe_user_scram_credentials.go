package wire

// SCRAM mechanisms as numbers (KIP-554).
const (
	SCRAMUnknown = 0
	SCRAMSHA256  = 1
	SCRAMSHA512  = 2
)

// DescribeUserSCRAMCredentialsRequest asks which users can log in with SCRAM.
type DescribeUserSCRAMCredentialsRequest struct {
	Users []DescribeUserSCRAMCredentialsRequestUser // nil or empty asks for all
}

// DescribeUserSCRAMCredentialsRequestUser names one user.
type DescribeUserSCRAMCredentialsRequestUser struct {
	Name string
}

// Key returns KeyDescribeUserSCRAMCredentials.
func (*DescribeUserSCRAMCredentialsRequest) Key() Key { return KeyDescribeUserSCRAMCredentials }

// Default sets Kafka's defaults.
func (r *DescribeUserSCRAMCredentialsRequest) Default() {
	*r = DescribeUserSCRAMCredentialsRequest{}
}

func (r *DescribeUserSCRAMCredentialsRequest) visit(v *visitor) {
	nullArray(v, &r.Users, 2, (*DescribeUserSCRAMCredentialsRequestUser).visit)
	v.tags()
}

func (u *DescribeUserSCRAMCredentialsRequestUser) visit(v *visitor) {
	v.str(&u.Name)
	v.tags()
}

// DescribeUserSCRAMCredentialsResponse answers a
// DescribeUserSCRAMCredentialsRequest.
type DescribeUserSCRAMCredentialsResponse struct {
	ThrottleTimeMs int32
	ErrorCode      ErrorCode
	ErrorMessage   *string
	Results        []DescribeUserSCRAMCredentialsResponseResult
}

// DescribeUserSCRAMCredentialsResponseResult is one user.
type DescribeUserSCRAMCredentialsResponseResult struct {
	User            string
	ErrorCode       ErrorCode
	ErrorMessage    *string
	CredentialInfos []DescribeUserSCRAMCredentialsResponseInfo
}

// DescribeUserSCRAMCredentialsResponseInfo is one mechanism of a user.
type DescribeUserSCRAMCredentialsResponseInfo struct {
	Mechanism  int8
	Iterations int32
}

// Key returns KeyDescribeUserSCRAMCredentials.
func (*DescribeUserSCRAMCredentialsResponse) Key() Key { return KeyDescribeUserSCRAMCredentials }

// Default sets Kafka's defaults.
func (r *DescribeUserSCRAMCredentialsResponse) Default() {
	*r = DescribeUserSCRAMCredentialsResponse{}
}

func (r *DescribeUserSCRAMCredentialsResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	v.code(&r.ErrorCode)
	v.nullStr(&r.ErrorMessage)
	array(v, &r.Results, 6, (*DescribeUserSCRAMCredentialsResponseResult).visit)
	v.tags()
}

func (r *DescribeUserSCRAMCredentialsResponseResult) visit(v *visitor) {
	v.str(&r.User)
	v.code(&r.ErrorCode)
	v.nullStr(&r.ErrorMessage)
	array(v, &r.CredentialInfos, 6, (*DescribeUserSCRAMCredentialsResponseInfo).visit)
	v.tags()
}

func (i *DescribeUserSCRAMCredentialsResponseInfo) visit(v *visitor) {
	v.int8(&i.Mechanism)
	v.int32(&i.Iterations)
	v.tags()
}
