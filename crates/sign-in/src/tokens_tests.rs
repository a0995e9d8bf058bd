use super::*;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;

/// Seconds; the tests' present.
const NOW: u64 = 1_700_000_000;

/// An issuer's private key.
pub(crate) struct Key {
    id: &'static str,
    algorithm: Algorithm,
    private: EncodingKey,
}

impl Key {
    pub(crate) fn elliptic(id: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let private = EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref());
        Self {
            id,
            algorithm: Algorithm::ES256,
            private,
        }
    }

    pub(crate) fn public(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.private, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.id.into());
        serde_json::to_value(jwk).unwrap()
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.id.into());
        encode(&header, claims, &self.private).unwrap()
    }
}

pub(crate) fn rules() -> TokenRules {
    TokenRules {
        issuer: "https://login.example".into(),
        audience: "smtp".into(),
        algorithms: vec!["ES256".into()],
        user_claim: "email".into(),
        strangers_may_relay: true,
        place: Place::Default,
    }
}

pub(crate) fn tokens(keys: &[&Key]) -> Tokens {
    let keys: Vec<_> = keys.iter().map(|key| key.public()).collect();
    let set = json!({ "keys": keys }).to_string();
    Tokens::new(rules()).unwrap().with_keys(&set).unwrap()
}

/// Good claims, changed by these; null takes one away.
pub(crate) fn claims(changes: Value) -> Value {
    let mut claims = json!({
        "iss": "https://login.example", "aud": "smtp", "email": "Ann@example.com",
        "exp": NOW + 300, "nbf": NOW - 300, "iat": NOW - 300,
    });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(NOW * 1000)
}

#[test]
fn claims_decide() {
    let key = Key::elliptic("one");
    let tokens = tokens(&[&key]);
    let ann = || Ok("ann@example.com".to_owned());
    for (changes, expected) in [
        (json!({}), ann()),
        (json!({"aud": ["other", "smtp"]}), ann()),
        (json!({"nbf": null, "iat": null}), ann()),
        (json!({"exp": NOW as f64 + 0.5}), ann()),
        (json!({"exp": NOW - 59}), ann()),
        (json!({"exp": NOW - 60}), Err(TokenFault::Time)),
        (json!({"exp": null}), Err(TokenFault::Time)),
        (json!({"exp": "tomorrow"}), Err(TokenFault::Time)),
        (json!({"nbf": NOW + 60}), ann()),
        (json!({"nbf": NOW + 61}), Err(TokenFault::Time)),
        (json!({"iat": NOW + 61}), Err(TokenFault::Time)),
        (
            json!({"iss": "https://login.example/"}),
            Err(TokenFault::Issuer),
        ),
        (json!({"iss": null}), Err(TokenFault::Issuer)),
        (
            json!({"iss": ["https://login.example"]}),
            Err(TokenFault::Issuer),
        ),
        (json!({"aud": "web"}), Err(TokenFault::Audience)),
        (json!({"aud": []}), Err(TokenFault::Audience)),
        (json!({"aud": null}), Err(TokenFault::Audience)),
        (json!({"email": null}), Err(TokenFault::NoUser)),
        (json!({"email": ""}), Err(TokenFault::NoUser)),
        (json!({"email": 3}), Err(TokenFault::NoUser)),
    ] {
        let user = tokens.user(&key.sign(&claims(changes.clone())), now());
        assert_eq!(user, expected, "{changes}");
    }
}

#[test]
fn only_listed_keys_and_untouched_tokens_are_taken() {
    let (key, other) = (Key::elliptic("one"), Key::elliptic("one"));
    let unlisted = Key::elliptic("two");
    let tokens = tokens(&[&key]);
    let fault = |token: &str| tokens.user(token, now()).unwrap_err();
    let good = claims(json!({}));
    assert_eq!(fault(&other.sign(&good)), TokenFault::Signature);
    assert_eq!(fault(&unlisted.sign(&good)), TokenFault::UnknownKey);

    let token = key.sign(&good);
    let mut parts: Vec<_> = token.split('.').collect();
    let forged = claims(json!({"email": "eve@example.com"})).to_string();
    let forged = URL_SAFE_NO_PAD.encode(forged);
    parts[1] = &forged;
    assert_eq!(fault(&parts.join(".")), TokenFault::Signature);
    for text in ["", ".", "..", "a.b.c", &token[..token.len() / 3]] {
        assert_eq!(fault(text), TokenFault::Malformed, "{text}");
    }
}

#[test]
fn a_token_without_a_key_id_is_tried_with_every_key() {
    let (first, second) = (Key::elliptic("one"), Key::elliptic("two"));
    let tokens = tokens(&[&first, &second]);
    let token = encode(
        &Header::new(Algorithm::ES256),
        &claims(json!({})),
        &second.private,
    );
    assert!(tokens.user(&token.unwrap(), now()).is_ok());
}

#[test]
fn unsigned_tokens_and_public_keys_as_secrets_are_refused() {
    let key = Key::elliptic("one");
    let tokens = tokens(&[&key]);
    let payload = URL_SAFE_NO_PAD.encode(claims(json!({})).to_string());
    for alg in ["none", "None", "NONE", ""] {
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg, "kid": "one"}).to_string());
        for signature in ["", "AAAA"] {
            let token = format!("{header}.{payload}.{signature}");
            assert_eq!(
                tokens.user(&token, now()),
                Err(TokenFault::Malformed),
                "{alg}"
            );
        }
    }
    let public = key.public();
    let point = URL_SAFE_NO_PAD
        .decode(public["x"].as_str().unwrap())
        .unwrap();
    for secret in [public.to_string().into_bytes(), point] {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("one".into());
        let token = encode(
            &header,
            &claims(json!({})),
            &EncodingKey::from_secret(&secret).unwrap(),
        );
        let fault = tokens.user(&token.unwrap(), now()).unwrap_err();
        assert_eq!(fault, TokenFault::Algorithm);
    }
}

#[test]
fn an_unknown_critical_header_makes_a_token_invalid() {
    let key = Key::elliptic("one");
    let mut header = Header::new(Algorithm::ES256);
    header.crit = Some(vec!["b64".into()]);
    let token = encode(&header, &claims(json!({})), &key.private).unwrap();
    assert_eq!(
        tokens(&[&key]).user(&token, now()),
        Err(TokenFault::Malformed)
    );
}

#[test]
fn rules_pin_public_key_algorithms() {
    for (algorithms, expected) in [
        (vec!["RS256", "PS256", "ES384", "EdDSA"], None),
        (vec!["RS256", "HS256"], Some("shared secret")),
        (vec!["none"], Some("no signature algorithm")),
        (vec![], Some("no signature algorithm")),
    ] {
        let algorithms = algorithms.into_iter().map(str::to_owned).collect();
        let found = Tokens::new(TokenRules {
            algorithms,
            ..rules()
        });
        match (found, expected) {
            (Ok(_), None) => {}
            (Err(why), Some(part)) => assert!(why.contains(part), "{why}"),
            (found, expected) => panic!("{found:?} {expected:?}"),
        }
    }
}

#[test]
fn only_signing_keys_of_a_set_are_kept() {
    let key = Key::elliptic("one");
    let mut encrypting = key.public();
    encrypting["use"] = "enc".into();
    let symmetric = json!({"kty": "oct", "k": "c2VjcmV0", "kid": "s"});
    let odd = json!({"kty": "??"});
    let issuer = Tokens::new(rules()).unwrap();
    let with = |keys: Value| issuer.with_keys(&json!({ "keys": keys }).to_string());
    for keys in [
        json!([]),
        json!([odd]),
        json!([symmetric]),
        json!([encrypting]),
    ] {
        assert!(with(keys.clone()).is_err(), "{keys}");
    }
    assert!(with(json!([odd, symmetric, key.public()])).is_ok());
    assert!(issuer.with_keys("[]").is_err());
    assert!(issuer.with_keys("{").is_err());
    let token = key.sign(&claims(json!({})));
    assert_eq!(issuer.user(&token, now()), Err(TokenFault::NoKeys));
}
