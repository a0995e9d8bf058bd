use super::pretend::Pretend;
use super::*;
use crate::resolver::pretend::{Data, Pretend as Dns};

const COST: Cost = Cost {
    timeout: Duration::from_secs(10),
    body_bytes_max: 100,
};

async fn server() -> Pretend {
    Pretend::serve(&["host.example"], |request| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        match path {
            "/plain" => (200, "Text/Plain; charset=utf-8", "hello".to_owned()),
            "/big" => (200, "text/plain", "x".repeat(101)),
            "/moved" => (302, "text/plain", String::new()),
            "/silent" => (0, "", String::new()),
            _ => (200, "text/plain", request.to_owned()),
        }
    })
    .await
}

#[tokio::test]
async fn an_answer_is_given_as_it_came() {
    let dns = Dns::serve(&[("host.example", Data::A([127, 0, 0, 1]))]).await;
    let server = server().await;
    let client = server.client(dns.resolver());
    let answer = client.get(&server.url("/plain"), COST).await.unwrap();
    let seen = (answer.status, answer.media_type.as_str(), &answer.body[..]);
    assert_eq!(seen, (200, "text/plain", &b"hello"[..]));
    let by_name = format!("https://host.example:{}/plain", server.address.port());
    assert_eq!(client.get(&by_name, COST).await.unwrap().status, 200);
    // A redirection is told, not followed.
    assert_eq!(
        client
            .get(&server.url("/moved"), COST)
            .await
            .unwrap()
            .status,
        302
    );
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_form_is_posted() {
    let dns = Dns::serve(&[]).await;
    let server = server().await;
    let client = server.client(dns.resolver());
    let fields = [("grant_type", "a b"), ("secret", "p&=%+\u{e4}")];
    let cost = Cost {
        body_bytes_max: 10_000,
        ..COST
    };
    client
        .post_form(&server.url("/form?x=1"), &fields, cost)
        .await
        .unwrap();
    let request = &server.requests()[0];
    assert!(
        request.starts_with("POST /form?x=1 HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains("application/x-www-form-urlencoded"),
        "{request}"
    );
    let body = "\r\n\r\ngrant_type=a+b&secret=p%26%3D%25%2B%C3%A4";
    assert!(request.ends_with(body), "{request}");
}

#[tokio::test]
async fn what_is_not_safe_fails() {
    let dns = Dns::serve(&[("other.example", Data::A([127, 0, 0, 1]))]).await;
    let server = server().await;
    let client = server.client(dns.resolver());
    let port = server.address.port();
    let cases = [
        (server.url("/big"), "length limit"),
        (format!("http://127.0.0.1:{port}/plain"), "https://"),
        (format!("https://user:pass@127.0.0.1:{port}/"), "user"),
        (format!("https://other.example:{port}/plain"), "certificate"),
        (format!("https://none.example:{port}/"), "no address"),
        ("https://".to_owned(), "no URL"),
    ];
    for (url, part) in cases {
        let why = client.get(&url, COST).await.unwrap_err();
        assert!(why.contains(part) && !why.contains("pass"), "{url}: {why}");
    }
    let stranger = Https::new(dns.resolver(), None).unwrap();
    let why = stranger.get(&server.url("/plain"), COST).await.unwrap_err();
    assert!(why.contains("certificate"), "{why}");
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let dns = Dns::serve(&[]).await;
    let server = server().await;
    let client = server.client(dns.resolver());
    let cost = Cost {
        timeout: Duration::from_millis(300),
        ..COST
    };
    let why = client.get(&server.url("/silent"), cost).await.unwrap_err();
    assert_eq!(why, "127.0.0.1: no answer in time");
}
