use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

/// How a page of metrics is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The text format of Prometheus, version 0.0.4, which everybody reads.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// What whoever asks takes, by the value of the field `Accept`: OpenMetrics if that is named.
    pub fn accepted(accept: &str) -> Self {
        let named = accept.split(',').any(|kind| {
            let mut parts = kind.split(';').map(str::trim);
            let is_open = parts.next() == Some("application/openmetrics-text");
            is_open && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        });
        if named { Self::OpenMetrics } else { Self::Text }
    }

    /// The value of the field `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// All that is in these registries, as one page.
pub(crate) fn written(format: Format, registries: &[&Registry]) -> String {
    let mut page = String::new();
    for registry in registries {
        // Writing to a string does not fail.
        let _infallible = text::encode_registry(&mut page, registry);
    }
    let page = ordered(&page);
    match format {
        Format::OpenMetrics => page + "# EOF\n",
        Format::Text => plain(&page),
    }
}

/// The library writes the series of a family in no order.
fn ordered(page: &str) -> String {
    let mut lines: Vec<&str> = page.lines().collect();
    for family in lines.chunk_by_mut(|_, next| !next.starts_with("# HELP ")) {
        let samples = family.iter().position(|line| !line.starts_with('#'));
        let samples = samples.unwrap_or(family.len());
        family[samples..].sort_by_key(|line| labels(line));
    }
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}

/// What begins the exemplar of a sample. The value of a label never holds it, whatever somebody calls a
/// listener: a quotation mark there has a backslash before it.
const EXEMPLAR: &str = " # {queue_id=\"";

fn without_exemplar(sample: &str) -> &str {
    sample
        .rsplit_once(EXEMPLAR)
        .map_or(sample, |(sample, _)| sample)
}

/// Those of a sample, but for the bound of a bucket: buckets stay in order.
fn labels(sample: &str) -> &str {
    let sample = without_exemplar(sample);
    let sample = sample.rsplit_once(' ').map_or(sample, |(series, _)| series);
    let labels = sample.split_once('{').map_or("", |(_, labels)| labels);
    match labels.strip_prefix("le=") {
        Some(bound) => bound.split_once(',').map_or("", |(_, others)| others),
        None => labels,
    }
}

/// OpenMetrics names a counter without the `_total` that its samples have; the older format, and
/// promtool, want one name. It knows no exemplars either.
fn plain(page: &str) -> String {
    let mut plain = String::with_capacity(page.len() + page.len() / 50);
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        let described = line
            .strip_prefix("# HELP ")
            .and_then(|of| of.split_once(' '));
        let kind = lines.peek().filter(|_| described.is_some());
        let is_counter = kind.is_some_and(|kind| kind.ends_with(" counter"));
        match described.filter(|_| is_counter) {
            Some((name, help)) => {
                lines.next();
                plain.push_str(&format!(
                    "# HELP {name}_total {help}\n# TYPE {name}_total counter\n"
                ));
            }
            None => {
                let is_sample = !line.starts_with('#');
                plain.push_str(if is_sample {
                    without_exemplar(line)
                } else {
                    line
                });
                plain.push('\n');
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_names_openmetrics_gets_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0,\
                          application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        for other in ["", "*/*", "text/plain", "application/openmetrics-text;q=0"] {
            assert_eq!(Format::accepted(other), Format::Text, "{other}");
        }
    }
}
