package coap

import (
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"hash"
	"sync/atomic"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/ciphersuite"
	"github.com/pion/dtls/v3/pkg/crypto/clientcertificate"
	"github.com/pion/dtls/v3/pkg/crypto/prf"
	"github.com/pion/dtls/v3/pkg/protocol/recordlayer"
)

// pskWithAES128CBCSHA is TLS_PSK_WITH_AES_128_CBC_SHA (RFC 4279), the only suite that
// C Link SDK 4 offers with a pre-shared key (spec/connect.md §3); pion has only its
// younger brother with SHA-256.
type pskWithAES128CBCSHA struct {
	cbc atomic.Pointer[ciphersuite.CBC]
}

const pskWithAES128CBCSHAID = dtls.CipherSuiteID(0x008c)

var errNoKeys = errors.New("the cipher suite has no keys yet")

func (c *pskWithAES128CBCSHA) String() string         { return "TLS_PSK_WITH_AES_128_CBC_SHA" }
func (c *pskWithAES128CBCSHA) ID() dtls.CipherSuiteID { return pskWithAES128CBCSHAID }
func (c *pskWithAES128CBCSHA) CertificateType() clientcertificate.Type {
	return clientcertificate.Type(0)
}

// HashFunc is that of the handshake (RFC 5246 section 5), not that of records.
func (c *pskWithAES128CBCSHA) HashFunc() func() hash.Hash { return sha256.New }

func (c *pskWithAES128CBCSHA) AuthenticationType() dtls.CipherSuiteAuthenticationType {
	return dtls.CipherSuiteAuthenticationTypePreSharedKey
}

func (c *pskWithAES128CBCSHA) KeyExchangeAlgorithm() dtls.CipherSuiteKeyExchangeAlgorithm {
	return dtls.CipherSuiteKeyExchangeAlgorithmPsk
}

func (c *pskWithAES128CBCSHA) ECC() bool           { return false }
func (c *pskWithAES128CBCSHA) IsInitialized() bool { return c.cbc.Load() != nil }

func (c *pskWithAES128CBCSHA) Init(masterSecret, clientRandom, serverRandom []byte, isClient bool) error {
	k, err := prf.GenerateEncryptionKeys(masterSecret, clientRandom, serverRandom, sha1.Size, 16, 16, c.HashFunc())
	if err != nil {
		return err
	}
	if isClient {
		k.ClientWriteKey, k.ServerWriteKey = k.ServerWriteKey, k.ClientWriteKey
		k.ClientWriteIV, k.ServerWriteIV = k.ServerWriteIV, k.ClientWriteIV
		k.ClientMACKey, k.ServerMACKey = k.ServerMACKey, k.ClientMACKey
	}
	cbc, err := ciphersuite.NewCBC(k.ServerWriteKey, k.ServerWriteIV, k.ServerMACKey, k.ClientWriteKey, k.ClientWriteIV, k.ClientMACKey, sha1.New)
	if err != nil {
		return err
	}
	c.cbc.Store(cbc)
	return nil
}

func (c *pskWithAES128CBCSHA) Encrypt(r *recordlayer.RecordLayer, raw []byte) ([]byte, error) {
	cbc := c.cbc.Load()
	if cbc == nil {
		return nil, errNoKeys
	}
	return cbc.Encrypt(r, raw)
}

func (c *pskWithAES128CBCSHA) Decrypt(h recordlayer.Header, raw []byte) ([]byte, error) {
	cbc := c.cbc.Load()
	if cbc == nil {
		return nil, errNoKeys
	}
	return cbc.Decrypt(h, raw)
}

// suites are the cipher suites of devices, best first. Those with a certificate need
// elliptic curves: pion has no RSA key exchange.
var suites = []dtls.CipherSuiteID{
	dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, dtls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	dtls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, dtls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
	dtls.TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256, dtls.TLS_PSK_WITH_AES_128_GCM_SHA256,
	dtls.TLS_PSK_WITH_AES_128_CCM, dtls.TLS_PSK_WITH_AES_128_CCM_8, dtls.TLS_PSK_WITH_AES_128_CBC_SHA256,
}

func ownSuites() []dtls.CipherSuite { return []dtls.CipherSuite{&pskWithAES128CBCSHA{}} }

var _ dtls.CipherSuite = (*pskWithAES128CBCSHA)(nil)
