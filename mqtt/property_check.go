package mqtt

// Validate checks a block a program has composed for a packet of type t by
// the rules decoding applies to one that arrives. Offsets in the error count
// from the start of the block.
func (p Properties) Validate(t Type) error {
	if err := p.validate(t, setOf(t), 0); err != nil {
		return err
	}
	return nil
}

// ValidateWill checks a block composed for the will properties of a CONNECT.
func (p Properties) ValidateWill() error {
	if err := p.validate(CONNECT, willBit, 0); err != nil {
		return err
	}
	return nil
}

// validate checks the block of a packet of type t. scope is the set bit of
// the type, or willBit; offset is where the block starts in the frame.
func (p Properties) validate(t Type, scope typeSet, offset int) *MalformedError {
	var seen uint64
	for pos := 0; pos < len(p); {
		q, n := nextProperty(p[pos:])
		rule := &propertyRules[q.ID]
		at := offset + pos
		field := rule.name
		if rule.kind == kindNone {
			return &MalformedError{t, at, "property identifier", "section 2.2.2.2", MalformedPacket,
				hexByte(byte(q.ID)) + " is not a property of MQTT 5.0"}
		}
		if rule.in&scope == 0 {
			where := withArticle(t)
			if scope == willBit {
				where = "the will properties"
			}
			return &MalformedError{t, at, field, "section 2.2.2.2", MalformedPacket,
				"property " + hexByte(byte(q.ID)) + " does not belong in " + where}
		}
		if n == 0 {
			return &MalformedError{t, at, field, "section 2.2.2.1", MalformedPacket,
				"the property is longer than what is left of the properties"}
		}
		if n < 0 {
			return &MalformedError{t, at + 1, field, "MQTT-1.5.5-1", MalformedPacket,
				"it is not a variable byte integer of minimal length"}
		}
		bit := uint64(1) << q.ID
		if seen&bit != 0 && !repeatable(q.ID, scope) {
			return &MalformedError{t, at, field, "section " + rule.section, ProtocolError,
				"the property appears more than once"}
		}
		seen |= bit
		if err := q.checkValue(rule, t, at); err != nil {
			return err
		}
		pos += n
	}
	return checkAuthentication(seen, t, scope, offset)
}

// repeatable reports whether a property may appear several times: user
// properties anywhere, subscription identifiers in a PUBLISH, which carries
// those of all subscriptions it answers.
func repeatable(id PropertyID, scope typeSet) bool {
	return id == PropUserProperty || id == PropSubscriptionIdentifier && scope == setOf(PUBLISH)
}

// checkValue checks the value of a property at offset at of the frame.
func (q *Property) checkValue(rule *propertyRule, t Type, at int) *MalformedError {
	switch rule.kind {
	case kindString:
		if i, null := badText(q.Value); i >= 0 {
			return textError(t, V5, at+3+i, rule.name, null)
		}
		if q.ID == PropResponseTopic {
			if i, reason, clause := badTopicName(q.Value); i >= 0 {
				if len(q.Value) > 0 {
					clause = "MQTT-3.3.2-14"
				}
				return &MalformedError{t, at + 3 + i, rule.name, clause, TopicNameInvalid, reason}
			}
		}
	case kindPair:
		if i, null := badText(q.Name); i >= 0 {
			return textError(t, V5, at+3+i, rule.name+" name", null)
		}
		if i, null := badText(q.Value); i >= 0 {
			return textError(t, V5, at+5+len(q.Name)+i, rule.name+" value", null)
		}
	default:
		if rule.flag && q.Number > 1 {
			return &MalformedError{t, at + 1, rule.name, "section " + rule.section, ProtocolError,
				"the value is " + decimal(int(q.Number)) + ", it must be 0 or 1"}
		}
		if rule.nonZero && q.Number == 0 {
			if q.ID == PropTopicAlias {
				return &MalformedError{t, at + 1, rule.name, "MQTT-3.3.2-8", TopicAliasInvalid, "the value must not be 0"}
			}
			return &MalformedError{t, at + 1, rule.name, "section " + rule.section, ProtocolError, "the value must not be 0"}
		}
	}
	return nil
}

// checkAuthentication checks that authentication data comes with a method,
// and that an AUTH names one.
func checkAuthentication(seen uint64, t Type, scope typeSet, offset int) *MalformedError {
	if scope == willBit || seen&(1<<PropAuthenticationMethod) != 0 {
		return nil
	}
	if t == AUTH {
		return &MalformedError{t, offset, "authentication method", "section 3.15.2.2.2", ProtocolError,
			"an AUTH packet names the authentication method"}
	}
	if t == CONNECT && seen&(1<<PropAuthenticationData) != 0 {
		return &MalformedError{t, offset, "authentication data", "section 3.1.2.11.10", ProtocolError,
			"authentication data needs an authentication method"}
	}
	return nil
}
