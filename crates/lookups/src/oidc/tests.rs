use std::sync::OnceLock;

use mail::Place;
use serde_json::json;

use super::*;
use crate::https::pretend::{Pretend, Reply};
use crate::resolver::pretend::Pretend as Dns;

const REDIRECT: &str = "http://127.0.0.1:8025/login/issuer/back";

struct Scene {
    server: Pretend,
    provider: IdentityProvider,
    _secret: tempfile::NamedTempFile,
    _dns: Dns,
}

/// An issuer that says `more` of itself, and answers each code in this way.
async fn scene(more: serde_json::Value, token: Reply) -> Scene {
    let dns = Dns::serve(&[]).await;
    let own: Arc<OnceLock<String>> = Arc::default();
    let known = Arc::clone(&own);
    let server = Pretend::serve(&[], move |request| {
        let own = known.get().unwrap();
        if request.starts_with("POST ") {
            return token.clone();
        }
        let mut described = json!({
            "issuer": own,
            "authorization_endpoint": format!("{own}/authorize?tenant=a"),
            "token_endpoint": format!("{own}/token"),
            "jwks_uri": format!("{own}/keys"),
        });
        let all = described.as_object_mut().unwrap();
        all.extend(more.as_object().cloned().unwrap());
        (200, "application/json", described.to_string())
    })
    .await;
    own.set(server.url("")).unwrap();
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "hush&1\n").unwrap();
    let settings = Oidc {
        issuer: server.url(""),
        place: Place::Default,
        client_id: "me".to_owned(),
        client_secret: Some(config::Secret::File(secret.path().to_owned())),
        ca: None,
        scope: "openid email".to_owned(),
        user_claim: "email".to_owned(),
        role_claim: "groups".to_owned(),
        roles: Default::default(),
        algorithms: vec!["ES256".to_owned()],
        absolute_timeout: Duration::from_secs(3600),
    };
    Scene {
        provider: IdentityProvider::by(&settings, server.client(dns.resolver())).unwrap(),
        server,
        _secret: secret,
        _dns: dns,
    }
}

fn brought(issuer: Option<&str>) -> Brought<'_> {
    Brought {
        code: "c0de",
        issuer,
        verifier: "v",
        redirect: REDIRECT,
    }
}

fn token() -> Reply {
    (
        200,
        "application/json",
        json!({ "id_token": "t" }).to_string(),
    )
}

/// Verifier and challenge are those of RFC 7636 appendix B.
#[tokio::test]
async fn a_browser_is_sent_to_the_issuer_and_its_code_is_a_token() {
    let scene = scene(json!({}), token()).await;
    let asked = Asked {
        state: "s",
        nonce: "n",
        verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        redirect: REDIRECT,
    };
    let address = scene.provider.address(asked).await.unwrap();
    let expected = "/authorize?tenant=a&response_type=code&client_id=me&scope=openid+email\
                    &redirect_uri=http%3A%2F%2F127.0.0.1%3A8025%2Flogin%2Fissuer%2Fback&state=s&nonce=n\
                    &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";
    assert_eq!(address, scene.server.url(expected));
    assert_eq!(scene.provider.token(brought(None)).await.unwrap(), "t");
    let requests = scene.server.requests();
    assert_eq!(requests.len(), 2, "it is described once");
    let (head, body) = requests[1].split_once("\r\n\r\n").unwrap();
    let proof = format!("Basic {}", STANDARD.encode("me:hush%261"));
    assert!(
        head.to_lowercase().contains("authorization: basic"),
        "{head}"
    );
    assert!(head.contains(&proof), "{head}");
    assert!(body.contains("code=c0de") && body.contains("code_verifier=v"));
    assert!(!body.contains("hush"), "{body}");
}

#[tokio::test]
async fn a_secret_goes_into_the_form_where_the_issuer_takes_it_there_alone() {
    let more = json!({ "token_endpoint_auth_methods_supported": ["client_secret_post"] });
    let scene = scene(more, token()).await;
    scene.provider.token(brought(None)).await.unwrap();
    let request = &scene.server.requests()[1];
    assert!(!request.to_lowercase().contains("\nauthorization:"));
    assert!(request.contains("client_secret=hush%261"), "{request}");
}

/// RFC 9207: with two issuers, the code of one would be shown to the other.
#[tokio::test]
async fn who_led_back_has_to_be_the_issuer() {
    let quiet = scene(json!({}), token()).await;
    let own = quiet.server.url("");
    assert!(quiet.provider.token(brought(Some(&own))).await.is_ok());
    let other = quiet
        .provider
        .token(brought(Some("https://other.example")))
        .await;
    let expected = NotVouched::Refused("another issuer led here".into());
    assert_eq!(other, Err(expected.clone()));
    let more = json!({ "authorization_response_iss_parameter_supported": true });
    let loud = scene(more, token()).await;
    assert_eq!(loud.provider.token(brought(None)).await, Err(expected));
}

#[tokio::test]
async fn what_the_issuer_refuses_is_no_trouble_of_its_own() {
    let refusal = json!({ "error": "invalid_grant", "error_description": "used\u{1b}" });
    for (answer, expected) in [
        (
            (400, "application/json", refusal.to_string()),
            NotVouched::Refused("invalid_grant used\\x1b".into()),
        ),
        (
            (200, "application/json", "{}".to_owned()),
            NotVouched::Refused("it gave no ID token".into()),
        ),
        (
            (502, "text/html", "<p>".to_owned()),
            NotVouched::Away("the token endpoint answered 502".into()),
        ),
    ] {
        let scene = scene(json!({}), answer).await;
        let token = scene.provider.token(brought(None)).await;
        assert_eq!(token, Err(expected));
    }
}

#[tokio::test]
async fn an_issuer_that_describes_another_or_too_much_is_none() {
    for (more, expected) in [
        (
            json!({ "issuer": "https://evil.example" }),
            "https://evil.example",
        ),
        (
            json!({ "authorization_endpoint": "http://in.clear" }),
            "no https URL",
        ),
        (json!({ "jwks_uri": 7 }), "describes no issuer"),
        (
            json!({ "more": "x".repeat(COST.body_bytes_max) }),
            "length limit",
        ),
    ] {
        let scene = scene(more, token()).await;
        match scene.provider.token(brought(None)).await {
            Err(NotVouched::Away(why)) => assert!(why.contains(expected), "{why}"),
            other => panic!("{other:?}"),
        }
        let _left_in_peace = scene.provider.token(brought(None)).await;
        assert_eq!(scene.server.requests().len(), 1);
    }
}
