package localhub

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"twinboard/localhub/store"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	// Browsers and some TLS stacks refuse leaves that live longer than 398 days.
	leafLife = 90 * 24 * time.Hour
	// leafMargin is how long before its end a leaf is renewed.
	leafMargin = 30 * 24 * time.Hour
	// clockSkew is how far a client's clock may be behind.
	clockSkew = time.Hour
)

// authority is the hub's private CA. Its key stays in the data folder; the
// leaf it signs is made at each start, for the names of that start, and never
// stored.
type authority struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	names []string
	now   func() time.Time

	mu   sync.Mutex
	leaf *tls.Certificate
}

// CAFile is the path of the CA certificate in a data folder.
func CAFile(data string) string { return filepath.Join(data, "ca.pem") }

func caKeyFile(data string) string { return filepath.Join(data, "ca-key.pem") }

// openAuthority reads the CA of a data folder, or makes it when there is none.
// A CA that cannot be read is never replaced: people trust it by hand.
func openAuthority(data string, names []string, now func() time.Time) (*authority, error) {
	a := &authority{names: names, now: now}
	err := a.read(data)
	if errors.Is(err, os.ErrNotExist) {
		err = a.create(data)
	}
	if err != nil {
		return nil, err
	}
	_, err = a.certificate(nil)
	return a, err
}

func (a *authority) read(data string) error {
	certPEM, err := os.ReadFile(CAFile(data))
	if err != nil {
		return store.FileError(CAFile(data), err)
	}
	keyPEM, err := os.ReadFile(caKeyFile(data))
	if err != nil {
		// Not "does not exist": a certificate without its key is damage.
		return &DataError{Kind: store.Corrupt, Path: caKeyFile(data), Err: errors.New(err.Error())}
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return &DataError{Kind: store.Corrupt, Path: CAFile(data), Err: err}
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return &DataError{Kind: store.Corrupt, Path: caKeyFile(data), Err: errors.New("the key is not an ECDSA key")}
	}
	a.cert, a.key = pair.Leaf, key
	return nil
}

// create makes the CA and writes it, the certificate last: without it the key
// counts for nothing and is made anew.
func (a *authority) create(data string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make the key of the CA: %w", err)
	}
	template, err := a.template(&key.PublicKey, authorityLife)
	if err != nil {
		return err
	}
	// A name of its own, so that the CAs of two folders can be told apart in a
	// trust store.
	template.Subject = pkix.Name{CommonName: "Twinboard local hub CA " + hex.EncodeToString(template.SubjectKeyId[:3])}
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return fmt.Errorf("make the CA: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode the key of the CA: %w", err)
	}
	if err := writeFile(caKeyFile(data), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})); err != nil {
		return err
	}
	if err := writeFile(CAFile(data), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})); err != nil {
		return err
	}
	return a.read(data)
}

// template is what CA and leaf have in common.
func (a *authority) template(key *ecdsa.PublicKey, life time.Duration) (*x509.Certificate, error) {
	public, err := key.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encode a public key: %w", err)
	}
	id := sha256.Sum256(public)
	serial := make([]byte, 16)
	rand.Read(serial)    // never fails
	serial[0] &= 0x7f    // positive in DER
	now := a.now().UTC() // validity has no fractions of seconds
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial),
		NotBefore:    now.Add(-clockSkew).Truncate(time.Second),
		NotAfter:     now.Add(life).Truncate(time.Second),
		SubjectKeyId: id[:20],
	}, nil
}

// certificate returns the leaf, a new one when the old is near its end. It is
// made for tls.Config.GetCertificate.
func (a *authority) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.leaf != nil && a.now().Before(a.leaf.Leaf.NotAfter.Add(-leafMargin)) {
		return a.leaf, nil
	}
	leaf, err := a.issue()
	if err == nil {
		a.leaf = leaf
	}
	return leaf, err
}

func (a *authority) issue() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the server's key: %w", err)
	}
	template, err := a.template(&key.PublicKey, leafLife)
	if err != nil {
		return nil, err
	}
	template.Subject = pkix.Name{CommonName: a.names[0]}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.BasicConstraintsValid = true
	for _, name := range a.names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("make the server's certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read the server's certificate: %w", err)
	}
	// With the CA in the chain, a client that shows certificates can name it.
	return &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}
