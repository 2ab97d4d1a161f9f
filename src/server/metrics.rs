//! The figures of a server as Prometheus reads them (text format 0.0.4); nobody's name is in them (SEC-21).

use std::fmt::Write as _;

use super::status::Status;
use crate::net::http::{Answer, HeaderMap, HeaderValue, Method, StatusCode, header, serve::Request};

/// Answers a request for `/metrics`.
pub(super) fn answer(request: &Request, status: &Status) -> Answer {
    let plain = |status| Answer { status, headers: HeaderMap::new(), body: bytes::Bytes::new() };
    if request.uri.path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND);
    }
    if request.method != Method::GET {
        let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED);
        answer.headers.insert(header::ALLOW, HeaderValue::from_static("GET"));
        return answer;
    }
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]);
    Answer { status: StatusCode::OK, headers, body: written(status).into() }
}

fn written(status: &Status) -> String {
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let gauges = [
        ("subscriptions", "Subscriptions of watchers that have proven to be there", number(status.subscriptions)),
        ("subscriptions_unproven", "Subscriptions whose address has not answered yet", number(status.unproven)),
        ("winfo_subscriptions", "Subscriptions to watcher information", number(status.watcher_informed)),
        ("list_subscriptions", "Subscriptions to lists", number(status.list_subscriptions)),
        ("publications", "Publications that stand", number(status.publications)),
        ("registrations", "Bindings that stand", number(status.registrations)),
        ("documents", "Documents of users", number(status.documents)),
        ("presentities", "Presentities of whom something is known", number(status.presentities)),
        ("connections", "Connections that stand", number(status.connections)),
        ("client_transactions", "Requests that wait for an answer", number(status.client_transactions)),
        ("server_transactions", "Requests that were answered of late", number(status.server_transactions)),
        ("store_waiting_bytes", "Bytes that wait for the disk", number(status.store_waiting)),
        ("store_refusing", "1 while nothing can be kept", u64::from(status.store_problem.is_some())),
    ];
    let counters = [
        ("publishes_total", "PUBLISH requests taken in", status.publishes),
        ("subscribes_total", "SUBSCRIBE requests taken in", status.subscribes),
        ("registers_total", "REGISTER requests taken in", status.registers),
        ("challenges_total", "Requests answered with a challenge", status.challenges),
        ("refusals_total", "Requests refused otherwise", status.refusals),
        ("overloads_total", "Requests answered 503", status.overloads),
        ("unreadable_total", "Messages that could not be read", status.unreadable),
    ];
    let all = gauges.map(|it| ("gauge", it)).into_iter().chain(counters.map(|it| ("counter", it)));
    all.fold(String::new(), |mut text, (kind, (name, help, value))| {
        let name = format!("sippresence_{name}");
        let _ = write!(text, "# HELP {name} {help}.\n# TYPE {name} {kind}\n{name} {value}\n");
        text
    })
}
