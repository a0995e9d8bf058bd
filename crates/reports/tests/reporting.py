"""Others who know reports: dmarc-report reads, tlsrpt-reporter writes."""

import json
import sys
from unittest.mock import MagicMock

sys.path.insert(0, sys.argv[1])


def dmarc(file):
    """What dmarc-report finds in a file, as JSON. It is strict about RFC 9990."""
    from dmarc_report.parser import DMARCParser

    report = DMARCParser.parse_file(file)
    print(
        json.dumps(
            {
                "format": report.format,
                "organization": report.report_metadata.org_name,
                "contact": report.report_metadata.email,
                "id": report.report_metadata.report_id,
                "errors": report.report_metadata.errors,
                "period": [report.report_metadata.date_range.begin, report.report_metadata.date_range.end],
                "domain": report.policy_published.domain,
                "policies": [report.policy_published.p, report.policy_published.sp, report.policy_published.np],
                "modes": [report.policy_published.adkim, report.policy_published.aspf],
                "testing": report.policy_published.testing,
                "records": [
                    {
                        "source": record.source_ip,
                        "count": record.count,
                        "disposition": record.policy_evaluated.disposition,
                        "dkim": record.policy_evaluated.dkim,
                        "spf": record.policy_evaluated.spf,
                        "overrides": [[own.type, own.comment] for own in record.policy_evaluated.reasons],
                        "names": [
                            record.identifiers.header_from,
                            record.identifiers.envelope_from,
                            record.identifiers.envelope_to,
                        ],
                        "results": [[own.domain, own.selector, own.result] for own in record.auth_results.dkim]
                        + [[own.domain, own.scope, own.result] for own in record.auth_results.spf],
                    }
                    for record in report.records
                ],
            }
        )
    )


def tls():
    """The report that tlsrpt-reporter makes of two connections that failed and five that did not."""
    from tlsrpt_reporter.tlsrpt import TLSRPTReportd

    policy = {
        "policy-type": 2,
        "policy-domain": "d.test",
        "policy-string": ["version: STSv1", "mode: enforce"],
        "mx-host": ["mx.d.test", "*.mail.d.test"],
    }
    failure = {"c": 203, "s": "192.0.2.1", "r": "2001:db8::1", "n": "mx.d.test", "h": "mx", "f": "E1", "a": "more"}
    data = {json.dumps(policy): {"cntrtotal": 7, "cntrfailure": 2, "failures": {json.dumps(failure): 2}}}
    report = {
        "organization-name": "Reporter",
        "date-range": {"start-datetime": "2026-03-01T00:00:00Z", "end-datetime": "2026-03-01T23:59:59Z"},
        "contact-info": "tls@reporter.test",
    }
    # Its rows and names come from a data base and a configuration.
    daemon = MagicMock()
    daemon.report_id.return_value = "1@reporter.test"
    TLSRPTReportd.render_report(daemon, 20260301, "d.test", "v=TLSRPTv1;rua=mailto:a@d.test", data, report)
    print(json.dumps(report))


if sys.argv[2] == "dmarc":
    dmarc(sys.argv[3])
else:
    tls()
