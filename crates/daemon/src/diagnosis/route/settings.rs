//! What the configuration says of deliveries to a site, each with its line.

use config::{Config, RouteAuth, RouteCredentials};
use delivery::SentAs;
use mail::Mailbox;
use relay_policy::{DomainRule, rule_for};
use route::{Site, TlsDemand};

use super::fact::Fact;
use super::words;

/// The settings that hold for mail to one recipient.
pub(super) struct Settings<'a> {
    pub config: &'a Config,
    pub site: &'a Site,
    pub recipient: &'a Mailbox,
}

/// An option of a route, and what holds where the route does not say it.
type Choice = (&'static str, &'static str, &'static str);

const OF_CONNECTIONS: [Choice; 8] = [
    ("hosts", "hosts", ""),
    ("protocol", "protocol", ""),
    ("order", "order", ""),
    ("default port", "port", "outbound.port"),
    ("source address", "source_ip", ""),
    ("helo", "helo", "hostname"),
    ("time to connect", "timeout", "outbound.timeout"),
    ("time to reply", "reply_timeout", ""),
];

const OF_LIMITS: [Choice; 6] = [
    ("hours", "hours", ""),
    ("large is over", "large.over", ""),
    ("hours of large", "large.hours", ""),
    ("connections", "max_connections", "outbound.max_per_site"),
    (
        "messages each",
        "messages_per_connection",
        "outbound.messages_per_connection",
    ),
    ("rate", "rate", "outbound.rate"),
];

const OF_RETRIES: [(&str, &str); 4] = [
    ("retry after", "queue.retry"),
    ("site down", "queue.probe"),
    ("delay notice", "queue.delay_notice"),
    ("expires", "queue.expire"),
];

impl Settings<'_> {
    /// How its hosts are connected to.
    pub fn of_connections(&self, demand: TlsDemand) -> Vec<Fact> {
        let mut facts = vec![self.tls(demand), self.sign_in()];
        facts.extend(self.chosen(&OF_CONNECTIONS));
        facts
    }

    /// As whom mail goes there, where that is not as it came.
    pub fn of_senders(&self) -> Vec<Fact> {
        let send_as = &self.config.send_as;
        let fact = |text, sent_as: &SentAs| Fact::at("sender", text, &sent_as.place);
        let rules = send_as.rules.iter().map(|rule| {
            let text = format!("{} for those whom this line is about", rule.sent_as.sender);
            fact(text, &rule.sent_as)
        });
        let route = send_as.routes.get(&self.site.name);
        let route = route.map(|sent_as| {
            let text = format!("{}, but for mail of strangers and from <>", sent_as.sender);
            fact(text, sent_as)
        });
        let masquerade = send_as.masquerade.as_ref().filter(|_| route.is_none());
        let masquerade = masquerade.map(|(domain, place)| {
            let text = format!("at {domain} in place of names that mean nothing to others");
            Fact::at("sender", text, place)
        });
        rules.chain(route).chain(masquerade).collect()
    }

    /// How much goes there.
    pub fn of_limits(&self) -> Vec<Fact> {
        self.chosen(&OF_LIMITS)
    }

    fn chosen(&self, choices: &[Choice]) -> Vec<Fact> {
        let chosen = choices.iter().filter_map(|(name, of_route, of_all)| {
            let of_route = self.route_key(of_route);
            let of_route = of_route.and_then(|key| self.config.option(&key));
            let shown = of_route.or_else(|| self.config.option(of_all))?;
            Some(Fact::of(name, shown))
        });
        chosen.collect()
    }

    /// What the configuration demands, and which of the lines that could say it does.
    fn tls(&self, demand: TlsDemand) -> Fact {
        let word = words::demand(demand);
        let keys = [self.domain_key("tls"), self.route_key("tls")];
        let keys = keys.iter().flatten();
        let mut written = keys.filter_map(|key| self.config.option(key));
        if let Some(shown) = written.find(|shown| unquoted(&shown.value) == word) {
            return Fact::of("tls", shown);
        }
        let options = self.config.routes.options(&self.site.name);
        if let (true, Some(auth)) = (options.and_then(|o| o.tls) == Some(demand), self.auth()) {
            let text = format!("\"{word}\", since a password is given there");
            return Fact::at("tls", text, &auth.place);
        }
        let of_all = self.config.option("outbound.tls");
        let of_all = of_all.map(|shown| Fact::of("tls", shown));
        of_all.unwrap_or_else(|| Fact::found("tls", word.to_owned()))
    }

    /// As whom; never by what.
    fn sign_in(&self) -> Fact {
        let Some(auth) = self.auth() else {
            return Fact::found("sign-in", "none".to_owned());
        };
        let how = match &auth.credentials {
            RouteCredentials::Token { url, .. } => format!("with a token of {url}"),
            RouteCredentials::Password { mechanism, .. } => match mechanism {
                Some(mechanism) => format!("with a password, {mechanism}"),
                None => "with a password, by the best mechanism that it offers".to_owned(),
            },
        };
        let text = format!("as {} {how}", auth.user);
        Fact::at("sign-in", text, &auth.place)
    }

    fn auth(&self) -> Option<&RouteAuth> {
        let delivery = self.config.deliveries.get(&self.site.name)?;
        delivery.auth.as_ref()
    }

    /// `route.NAME.option`, where mail goes by a route with a name.
    fn route_key(&self, option: &str) -> Option<String> {
        let name = self.site.name.strip_prefix("route:")?;
        Some(format!("route.{name}.{option}"))
    }

    /// `domain.NAME.option`, where the domain is one of ours.
    fn domain_key(&self, option: &str) -> Option<String> {
        let rule = rule_for(&self.config.rules, self.recipient)?;
        Some(format!("domain.{}.{option}", rule.name))
    }
}

/// When it is tried again, and for how long.
pub(super) fn of_retries(config: &Config) -> Vec<Fact> {
    let of = |(name, key): &(&'static str, &str)| Some(Fact::of(name, config.option(key)?));
    OF_RETRIES.iter().filter_map(of).collect()
}

/// For how long it waits for somebody who asks.
pub(super) fn of_waiting(config: &Config, rule: &DomainRule) -> Vec<Fact> {
    let key = format!("domain.{}.on_demand.expire", rule.name);
    let expires = config.option(&key).map(|shown| Fact::of("expires", shown));
    expires.into_iter().collect()
}

fn unquoted(value: &str) -> &str {
    value.trim_matches(['"', '\''])
}
