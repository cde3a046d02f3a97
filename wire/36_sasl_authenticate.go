package wire

// SASLAuthenticateRequest carries bytes of the mechanism that SaslHandshake chose.
// It comes before login: decoding it allocates nothing.
type SASLAuthenticateRequest struct {
	AuthBytes []byte // opaque; a view when decoded
}

// Key returns KeySASLAuthenticate.
func (*SASLAuthenticateRequest) Key() Key { return KeySASLAuthenticate }

// Default sets Kafka's defaults.
func (r *SASLAuthenticateRequest) Default() { *r = SASLAuthenticateRequest{} }

func (r *SASLAuthenticateRequest) visit(v *visitor) {
	v.bytes(&r.AuthBytes)
	v.tags()
}

// SASLAuthenticateResponse answers a SASLAuthenticateRequest.
type SASLAuthenticateResponse struct {
	ErrorCode         ErrorCode
	ErrorMessage      *string
	AuthBytes         []byte // opaque; a view when decoded
	SessionLifetimeMs int64  // 1+; after which the client has to log in again; 0 never (KIP-368)
}

// Key returns KeySASLAuthenticate.
func (*SASLAuthenticateResponse) Key() Key { return KeySASLAuthenticate }

// Default sets Kafka's defaults.
func (r *SASLAuthenticateResponse) Default() { *r = SASLAuthenticateResponse{} }

func (r *SASLAuthenticateResponse) visit(v *visitor) {
	v.code(&r.ErrorCode)
	v.nullStr(&r.ErrorMessage)
	v.bytes(&r.AuthBytes)
	if v.version >= 1 {
		v.int64(&r.SessionLifetimeMs)
	}
	v.tags()
}
