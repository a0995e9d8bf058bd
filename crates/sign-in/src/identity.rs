//! Who somebody is by the ID token of an issuer, and what he may do at the console (OpenID Connect
//! Core 1.0 sections 2 and 3.1.3.7).

use mail::Timestamp;
use serde_json::{Map, Value};

use crate::{ConsoleRole, TokenFault, TokenRules, Tokens, prepare_name};

/// The claim that an issuer need not have verified, and the one in which it says that it has.
const EMAIL: (&str, &str) = ("email", "email_verified");

/// What an issuer's ID tokens must say; the audience of `tokens` is our name at the issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityRules {
    /// Whose tokens, for whom.
    pub tokens: TokenRules,
    /// The claim by whose values roles are given: a name, or the JSON pointer (RFC 6901) of one
    /// within another.
    pub role_claim: String,
    /// Which values give which role. Empty: the issuer gives none.
    pub roles: Vec<(ConsoleRole, Vec<String>)>,
}

/// Somebody for whom an issuer vouches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// His name, in the one spelling of it.
    pub name: String,
    /// The highest role that his claims give.
    pub role: Option<ConsoleRole>,
}

/// An issuer of ID tokens, with the keys it has now.
#[derive(Debug, Clone)]
pub struct Identities {
    rules: IdentityRules,
    tokens: Tokens,
}

impl Identities {
    /// An issuer whose keys are not known yet.
    ///
    /// # Errors
    /// What is wrong with the algorithms.
    pub fn new(rules: IdentityRules) -> Result<Self, String> {
        let tokens = Tokens::new(rules.tokens.clone())?;
        Ok(Self { rules, tokens })
    }

    /// The same issuer with the keys of this JWKS text.
    ///
    /// # Errors
    /// There are none in it.
    pub fn with_keys(&self, json: &str) -> Result<Self, String> {
        Ok(Self {
            rules: self.rules.clone(),
            tokens: self.tokens.with_keys(json)?,
        })
    }

    /// Whether roles come from the issuer's claims; else others have to give them.
    pub fn give_roles(&self) -> bool {
        !self.rules.roles.is_empty()
    }

    /// Whom an ID token names, which was asked for with this nonce. The token is never in the answer.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn identity(
        &self,
        token: &str,
        nonce: &str,
        now: Timestamp,
    ) -> Result<Identity, TokenFault> {
        let claims = self.tokens.claims(token, now)?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if text("nonce") != Some(nonce) {
            return Err(TokenFault::Nonce);
        }
        // Section 3.1.3.7: "If the ID Token contains multiple audiences, the Client SHOULD verify that
        // an azp Claim is present. If an azp [...] Claim is present, the Client SHOULD verify that its
        // client_id is the Claim Value."
        let party = claims.get("azp").map(Value::as_str);
        let audiences = claims.get("aud").and_then(Value::as_array);
        let is_for_several = audiences.is_some_and(|audiences| audiences.len() > 1);
        match party {
            Some(party) if party == Some(&self.rules.tokens.audience) => {}
            None if !is_for_several => {}
            Some(_) | None => return Err(TokenFault::Audience),
        }
        let (email, verified) = EMAIL;
        if self.rules.tokens.user_claim == email && !is_true(claims.get(verified)) {
            return Err(TokenFault::Unverified);
        }
        let name = text(&self.rules.tokens.user_claim).and_then(prepare_name);
        Ok(Identity {
            name: name.ok_or(TokenFault::NoUser)?,
            role: self.role(&claims),
        })
    }

    fn role(&self, claims: &Map<String, Value>) -> Option<ConsoleRole> {
        let claim = &self.rules.role_claim;
        let value = match claim.strip_prefix('/') {
            Some(path) => within(claims, path)?,
            None => claims.get(claim)?,
        };
        let values: &[Value] = match value {
            Value::Array(several) => several,
            one => std::slice::from_ref(one),
        };
        let has = |names: &[String]| {
            let mut values = values.iter().filter_map(Value::as_str);
            values.any(|value| names.iter().any(|name| name == value))
        };
        let given = self.rules.roles.iter().filter(|(_, names)| has(names));
        given.map(|(role, _)| *role).max()
    }
}

/// What stands at a JSON pointer, whose first stroke is gone.
fn within<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    match path.split_once('/') {
        Some((first, rest)) => claims.get(&unescaped(first))?.pointer(&format!("/{rest}")),
        None => claims.get(&unescaped(path)),
    }
}

/// RFC 6901 section 4.
fn unescaped(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

/// Some issuers write it in quotes.
fn is_true(value: Option<&Value>) -> bool {
    value.is_some_and(|value| *value == Value::Bool(true) || value.as_str() == Some("true"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tokens::tests::{Key, claims, now, rules};

    fn issuer(key: &Key, role_claim: &str, user_claim: &str) -> Identities {
        let roles = [
            (ConsoleRole::Admin, "relay-admins"),
            (ConsoleRole::Viewer, "everybody"),
        ];
        let rules = IdentityRules {
            tokens: TokenRules {
                user_claim: user_claim.into(),
                ..rules()
            },
            role_claim: role_claim.into(),
            roles: roles
                .map(|(role, name)| (role, vec![name.to_owned()]))
                .to_vec(),
        };
        let keys = json!({ "keys": [key.public()] }).to_string();
        Identities::new(rules).unwrap().with_keys(&keys).unwrap()
    }

    #[test]
    fn what_an_id_token_says_decides() {
        let key = Key::elliptic("k");
        let issuer = issuer(&key, "groups", "email");
        let good = json!({ "nonce": "n", "email_verified": true });
        let with = |more: Value| {
            let mut all = good.clone();
            let all_of = all.as_object_mut().unwrap();
            all_of.extend(more.as_object().cloned().unwrap());
            issuer.identity(&key.sign(&claims(all)), "n", now())
        };
        let ann = |role| {
            Ok(Identity {
                name: "ann@example.com".to_owned(),
                role,
            })
        };
        for (more, expected) in [
            (json!({}), ann(None)),
            (json!({ "groups": ["others"] }), ann(None)),
            (
                json!({ "groups": "everybody" }),
                ann(Some(ConsoleRole::Viewer)),
            ),
            (
                json!({ "groups": ["everybody", 7, "relay-admins"] }),
                ann(Some(ConsoleRole::Admin)),
            ),
            (json!({ "groups": { "relay-admins": true } }), ann(None)),
            (json!({ "email_verified": "true" }), ann(None)),
            (
                json!({ "email_verified": null }),
                Err(TokenFault::Unverified),
            ),
            (
                json!({ "email_verified": false }),
                Err(TokenFault::Unverified),
            ),
            (json!({ "nonce": "other" }), Err(TokenFault::Nonce)),
            (json!({ "nonce": null }), Err(TokenFault::Nonce)),
            (json!({ "aud": "other" }), Err(TokenFault::Audience)),
            (
                json!({ "aud": ["smtp", "other"] }),
                Err(TokenFault::Audience),
            ),
            (
                json!({ "aud": ["smtp", "other"], "azp": "smtp" }),
                ann(None),
            ),
            (json!({ "aud": ["smtp"] }), ann(None)),
            (json!({ "azp": "other" }), Err(TokenFault::Audience)),
            (json!({ "azp": 7 }), Err(TokenFault::Audience)),
            (
                json!({ "iss": "https://other.example" }),
                Err(TokenFault::Issuer),
            ),
            (json!({ "exp": 1 }), Err(TokenFault::Time)),
            (json!({ "email": null }), Err(TokenFault::NoUser)),
        ] {
            assert_eq!(with(more.clone()), expected, "{more}");
        }
        let other = Key::elliptic("k").sign(&claims(good));
        assert_eq!(
            issuer.identity(&other, "n", now()),
            Err(TokenFault::Signature)
        );
    }

    #[test]
    fn roles_may_lie_within_another_claim_and_names_need_no_address() {
        let key = Key::elliptic("k");
        let nested = json!({
            "nonce": "n", "sub": "Ann", "realm/a": { "roles": ["relay-admins"] },
        });
        let token = key.sign(&claims(nested));
        for (claim, role) in [
            ("/realm~1a/roles", Some(ConsoleRole::Admin)),
            ("/realm~1a", None),
            ("/realm~1a/roles/0", Some(ConsoleRole::Admin)),
            ("/realm~1a/none", None),
            ("realm/a", None),
            ("/", None),
        ] {
            let found = issuer(&key, claim, "sub").identity(&token, "n", now());
            let expected = Identity {
                name: "ann".to_owned(),
                role,
            };
            assert_eq!(found, Ok(expected), "{claim}");
        }
    }
}
