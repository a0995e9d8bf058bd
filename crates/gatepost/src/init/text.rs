//! The configuration file that the answers come to, with comments.

use std::path::Path;

use config::text_value;

use super::draft::Draft;

/// The whole file.
pub(super) fn of(draft: &Draft) -> String {
    let mut text = String::from(
        "# Every option: gatepost config explain SECTION. After a change: gatepost config check, then\n\
         # gatepost reload.\n\n",
    );
    text += &name(draft);
    text += &listeners(draft);
    text += &domains(draft);
    text += &senders(draft);
    text += &outbound(draft);
    text += &certificate(draft);
    text
}

fn quoted(value: impl ToString) -> String {
    text_value(&value.to_string())
}

fn name(draft: &Draft) -> String {
    let Some(name) = &draft.hostname else {
        return String::new();
    };
    format!(
        "# How the relay calls itself. This name leads to its address, and its address (PTR) to this name.\n\
         hostname = {}\n\n",
        quoted(name)
    )
}

fn listeners(draft: &Draft) -> String {
    let mut text = String::from(
        "# Mail from the Internet, and from clients in relay.allow. Nobody signs in here.\n\
         [listener.internet]\n\
         bind = \"0.0.0.0:25\"                # with IPv6: [\"0.0.0.0:25\", \"[::]:25\"]\n\n",
    );
    if draft.users {
        text += "# People who sign in, over TLS alone: gatepost user add NAME\n\
                 [listener.submission]\n\
                 bind = \"0.0.0.0:587\"\n\n";
    }
    text
}

fn domains(draft: &Draft) -> String {
    let mut text = String::new();
    let directory = draft.key_directory();
    for domain in &draft.domains {
        let section = quoted(domain);
        text +=
            &format!("# Taken from anybody, and handed to the mail server.\n[domain.{section}]\n");
        if let Some(server) = &draft.mail_server {
            text += &format!("route = {}\n", quoted(server));
        }
        text +=
            "# recipients = \"verify\"             # refuse whom the mail server does not know\n\n";
        let key = directory.join(format!("rsa.{domain}.key"));
        text += &format!(
            "# What the domain sends is signed.\n[dkim.{section}]\nselector = \"rsa\"\nkey = {}\n\n",
            path(&key)
        );
    }
    text
}

fn senders(draft: &Draft) -> String {
    let clients: Vec<String> = draft.clients.iter().map(quoted).collect();
    format!(
        "# Who may send to every other domain, beside those who sign in.\n\
         [relay]\n\
         allow = [{}]\n\n",
        clients.join(", ")
    )
}

fn outbound(draft: &Draft) -> String {
    let Some(server) = &draft.outbound else {
        return "# Mail for every other domain goes to the hosts that DNS names for it.\n\
                [outbound]\n\
                route = \"mx\"\n\n"
            .to_owned();
    };
    format!(
        "# Mail for every other domain goes to this smart host.\n\
         [route.out]\n\
         hosts = [{}]\n\
         # auth = {{ user = \"NAME\", secret = \"file:out.secret\" }}    # to sign in there\n\n\
         [outbound]\n\
         route = \"out\"\n\n",
        quoted(server)
    )
}

fn certificate(draft: &Draft) -> String {
    match (&draft.certificate, &draft.key) {
        (Some(certificate), Some(key)) => format!(
            "# Shown to clients. A renewed pair in place of this one is noticed.\n\
             [tls]\n\
             certificate = {}\n\
             key = {}\n",
            path(certificate),
            path(key)
        ),
        (_, _) => "# Without a certificate the relay makes a self-signed one, which most servers take, and people\n\
                   # who sign in do not.\n\
                   # [tls]\n\
                   # certificate = \"relay.crt\"\n\
                   # key = \"relay.key\"\n"
            .to_owned(),
    }
}

fn path(path: &Path) -> String {
    quoted(path.display())
}
