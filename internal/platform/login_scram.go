package platform

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/xdg-go/scram"

	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/store"
	"github.com/linkstead/linkstead/mqtt"
)

// scramMethod is the extended authentication that applications are offered
// (RFC 7677, MQTT 5.0 4.12): the password never travels, and the client learns
// that the server knows it.
const scramMethod = "SCRAM-SHA-256"

// scramIterations is the work that a stolen verifier costs for each guess. Every
// login costs the client as much, the server next to nothing.
const scramIterations = 100_000

// A verifier is kept behind the argon2id hash of a password, as
//
//	SCRAM-SHA-256$iterations:salt$stored key:server key
//
// in base64.
const scramPrefix = scramMethod + "$"

// scramVerifier makes the verifier of a password.
func scramVerifier(password string) (string, error) {
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	client, err := scram.SHA256.NewClient("", password, "")
	if err != nil {
		return "", err
	}
	c, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(salt), Iters: scramIterations})
	if err != nil {
		return "", err
	}
	enc := base64.StdEncoding
	return fmt.Sprintf("%s%d:%s$%s:%s", scramPrefix, c.Iters, enc.EncodeToString(salt),
		enc.EncodeToString(c.StoredKey), enc.EncodeToString(c.ServerKey)), nil
}

var errVerifier = errors.New("a stored SCRAM verifier is damaged; set the password of its user again")

// parseVerifier reads a verifier.
func parseVerifier(text string) (c scram.StoredCredentials, err error) {
	rest, ok := strings.CutPrefix(text, scramPrefix)
	factors, keys, found := strings.Cut(rest, "$")
	iterations, salt, found2 := strings.Cut(factors, ":")
	stored, server, found3 := strings.Cut(keys, ":")
	if !ok || !found || !found2 || !found3 {
		return c, errVerifier
	}
	enc := base64.StdEncoding
	saltBytes, err1 := enc.DecodeString(salt)
	storedKey, err2 := enc.DecodeString(stored)
	serverKey, err3 := enc.DecodeString(server)
	n, err4 := strconv.Atoi(iterations)
	if errors.Join(err1, err2, err3, err4) != nil || len(storedKey) != sha256.Size || len(serverKey) != sha256.Size || n < 1 {
		return c, errVerifier
	}
	c.Salt, c.Iters, c.StoredKey, c.ServerKey = string(saltBytes), n, storedKey, serverKey
	return c, nil
}

// Converse begins an extended authentication. Only applications are offered one,
// and only if it is switched on.
func (p *Platform) Converse(method string, r *broker.LoginRequest) broker.Conversation {
	if method != scramMethod || !p.settings.Load().SCRAM || strings.Contains(r.Username, "&") {
		return nil
	}
	c := &scramLogin{p: p, r: r}
	server, err := scram.SHA256.NewServer(c.credentials)
	if err != nil {
		return nil
	}
	c.talk = server.NewConversation()
	return c
}

// scramLogin is one SCRAM conversation.
type scramLogin struct {
	p     *Platform
	r     *broker.LoginRequest
	talk  *scram.ServerConversation
	begun bool
	user  *user  // nil if there is none who could log in like this
	cause string // why not
}

// Next takes the client's next message; users are looked up on a worker.
func (c *scramLogin) Next(data []byte, done func(broker.AuthStep)) {
	if len(data) == 0 && !c.begun { // the client waits to be asked
		done(broker.AuthStep{Data: []byte{}})
		return
	}
	if !later(c.p.lookup, func() { done(c.step(string(data))) }) {
		done(c.refuse(busy(clip(c.r.Username))))
	}
}

func (c *scramLogin) step(data string) broker.AuthStep {
	c.begun = true
	answer, err := c.talk.Step(data)
	name := c.talk.Username()
	deny := func(cause string) broker.AuthStep {
		step := c.refuse(&broker.Refusal{Code: mqtt.NotAuthorized, Identity: clip(name), Cause: "SCRAM: " + cause})
		step.Name = name
		return step
	}
	switch {
	case err != nil && c.cause != "":
		return deny(c.cause)
	case err != nil:
		return deny(err.Error())
	case !c.talk.Done():
		return broker.AuthStep{Data: []byte(answer)}
	case !c.talk.Valid() || c.user == nil:
		return deny("wrong password")
	case c.talk.AuthzID() != "" && c.talk.AuthzID() != name:
		return deny("the client asks for the rights of " + clip(c.talk.AuthzID()) + "; nobody may act for another")
	case c.r.HasUsername && c.r.Username != "" && c.r.Username != name:
		return deny("the CONNECT has the user name " + clip(c.r.Username) + ", the authentication is for another")
	case !c.user.enabled:
		return deny("the user is disabled")
	}
	return broker.AuthStep{Name: name, Data: []byte(answer), Admission: c.p.admitUser(c.r, c.user)}
}

// refuse ends the conversation and has its owner know.
func (c *scramLogin) refuse(why *broker.Refusal) broker.AuthStep {
	c.p.refused(c.r, why)
	return broker.AuthStep{Refusal: why}
}

// credentials finds a user's verifier. Who has none gets one that no password
// has, the same each time, so that nobody learns which users there are.
func (c *scramLogin) credentials(name string) (scram.StoredCredentials, error) {
	u, err := c.p.user(c.p.ctx, name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		c.cause = "there is no user " + clip(name) + "; create it: linkstead user add " + clip(name)
	case err != nil:
		c.cause = "the user could not be looked up: " + err.Error()
		return scram.StoredCredentials{}, err
	case u.verifier == "":
		c.cause = "the password of the user was set while auth.scram was off; set it again"
	default:
		stored, err := parseVerifier(u.verifier)
		if err != nil {
			c.cause = err.Error()
			return scram.StoredCredentials{}, err
		}
		c.user = u
		return stored, nil
	}
	derive := func(what string) []byte {
		h := hmac.New(sha256.New, c.p.users.proof[:])
		h.Write([]byte(what + "\x00" + name))
		return h.Sum(nil)
	}
	none := scram.StoredCredentials{StoredKey: derive("stored key"), ServerKey: derive("server key")}
	none.Salt, none.Iters = string(derive("salt")[:16]), scramIterations
	return none, nil
}
