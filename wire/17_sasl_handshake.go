package wire

// SASLHandshakeRequest chooses a SASL mechanism. After version 0 the mechanism's
// own bytes follow without headers, after 1 they come in SaslAuthenticate. It comes
// before login: decoding it allocates nothing.
type SASLHandshakeRequest struct {
	Mechanism []byte // a view
}

// Key returns KeySASLHandshake.
func (*SASLHandshakeRequest) Key() Key { return KeySASLHandshake }

// Default sets Kafka's defaults.
func (r *SASLHandshakeRequest) Default() { *r = SASLHandshakeRequest{} }

func (r *SASLHandshakeRequest) visit(v *visitor) {
	v.strView(&r.Mechanism)
}

// SASLHandshakeResponse answers a SASLHandshakeRequest.
type SASLHandshakeResponse struct {
	ErrorCode  ErrorCode
	Mechanisms []string // those that the broker has
}

// Key returns KeySASLHandshake.
func (*SASLHandshakeResponse) Key() Key { return KeySASLHandshake }

// Default sets Kafka's defaults.
func (r *SASLHandshakeResponse) Default() { *r = SASLHandshakeResponse{} }

func (r *SASLHandshakeResponse) visit(v *visitor) {
	v.code(&r.ErrorCode)
	array(v, &r.Mechanisms, 2, func(s *string, v *visitor) { v.str(s) })
}
