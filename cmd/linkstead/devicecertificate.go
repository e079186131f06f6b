package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin/client"
)

func newDeviceCertificateCommand(t *target) *cobra.Command {
	cmd := parent(&cobra.Command{
		Use:   "certificate",
		Short: "Make, add, list and remove the client certificates of devices",
		Long: `A device with a client certificate logs in by it, without user name and password. The
server asks for certificates if tls.client_certificates is set.`,
		Example: "  linkstead device certificate issue a1ji0qFv6Jf/STC15 --out STC15\n  linkstead device certificate add a1ji0qFv6Jf/STC15 device.pem",
	})
	cmd.AddCommand(newCertificateIssueCommand(t), newCertificateAddCommand(t), newCertificateListCommand(t), newCertificateRemoveCommand(t))
	return cmd
}

func newCertificateIssueCommand(t *target) *cobra.Command {
	var out string
	var days int
	cmd := &cobra.Command{
		Use:   "issue PRODUCTKEY/DEVICENAME --out NAME",
		Short: "Make a key and a certificate for a device, as NAME.key and NAME.pem",
		Long: `Makes a key (RSA, 2048 bits) and a certificate for a device, writes them to NAME.key and
NAME.pem, and lets the device log in with them. The key is made here and goes nowhere.`,
		Example: "  linkstead device certificate issue a1ji0qFv6Jf/STC15 --out STC15",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, err := deviceArg(args[0])
			if err != nil {
				return err
			}
			if out == "" {
				return usageError("--out is missing: the name of the files")
			}
			if days < 1 || days > 36500 {
				return usageError("--days must be 1 to 36500")
			}
			key, cert, err := makeCertificate(pk, dn, time.Now(), days)
			if err != nil {
				return err
			}
			if err := writeNew(out+".key", key); err != nil {
				return err
			}
			if err := writeNew(out+".pem", cert); err != nil {
				return err
			}
			added, err := c.AddCertificate(cmd.Context(), pk, dn, string(cert))
			if err != nil {
				return err
			}
			return output(cmd, added, func(w io.Writer) error {
				return printFields(w, [2]string{"key", out + ".key"}, [2]string{"certificate", out + ".pem"},
					[2]string{"sha-256", added.Fingerprint}, [2]string{"until", localTime(added.NotAfter)})
			})
		}),
	}
	cmd.Flags().StringVar(&out, "out", "", "`name` of the files to be written")
	cmd.Flags().IntVar(&days, "days", 3650, "how long the certificate is valid")
	return cmd
}

// makeCertificate makes a key and a certificate signed with it, in PEM form. A
// device without a clock must not find it begins later, so it begins yesterday.
func makeCertificate(pk, dn string, now time.Time, days int) (key, cert []byte, err error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: dn, OrganizationalUnit: []string{pk}},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(time.Duration(days) * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, nil, err
	}
	key = pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)})
	return key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// writeNew writes a file that only its owner may read and that must not exist.
func writeNew(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("the file cannot be written: %w", err)
	}
	_, err = f.Write(b)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func newCertificateAddCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:     "add PRODUCTKEY/DEVICENAME FILE",
		Short:   "Let a device log in with a certificate it has, whoever signed it",
		Example: "  linkstead device certificate add a1ji0qFv6Jf/STC15 device.pem",
		Args:    cobra.ExactArgs(2),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, err := deviceArg(args[0])
			if err != nil {
				return err
			}
			b, err := readArgument(cmd.InOrStdin(), args[1])
			if err != nil {
				return err
			}
			added, err := c.AddCertificate(cmd.Context(), pk, dn, string(b))
			if err != nil {
				return err
			}
			return output(cmd, added, func(w io.Writer) error {
				return printFields(w, [2]string{"subject", added.Subject}, [2]string{"sha-256", added.Fingerprint}, [2]string{"until", localTime(added.NotAfter)})
			})
		}),
	}
}

func newCertificateListCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:     "list PRODUCTKEY/DEVICENAME",
		Short:   "List the certificates of a device",
		Example: "  linkstead device certificate list a1ji0qFv6Jf/STC15",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, err := deviceArg(args[0])
			if err != nil {
				return err
			}
			list, err := c.Certificates(cmd.Context(), pk, dn)
			if err != nil {
				return err
			}
			return output(cmd, list, func(w io.Writer) error {
				var rows [][]string
				for _, x := range list {
					rows = append(rows, []string{x.Fingerprint, localTime(x.NotAfter), x.Subject})
				}
				return printTable(w, []string{"SHA-256", "UNTIL", "SUBJECT"}, rows)
			})
		}),
	}
}

func newCertificateRemoveCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:     "remove PRODUCTKEY/DEVICENAME SHA-256",
		Short:   "Take a certificate from a device and close its connection",
		Example: "  linkstead device certificate remove a1ji0qFv6Jf/STC15 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
		Args:    cobra.ExactArgs(2),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, err := deviceArg(args[0])
			if err != nil {
				return err
			}
			if err := c.RemoveCertificate(cmd.Context(), pk, dn, args[1]); err != nil {
				return err
			}
			return printDone(cmd, "device "+args[0]+" does not log in with it any more")
		}),
	}
}
