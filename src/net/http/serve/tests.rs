//! Peers that are slow, long-winded, many, or just fine.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinHandle,
};

use super::*;

/// Far longer than anything here takes; reached only by a test that fails.
const PATIENCE: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(100);

struct Server {
    local: SocketAddr,
    serving: JoinHandle<io::Result<()>>,
}

/// Answers each request with its method, its path and the length of its body; drops those for `/busy`, and lets those for
/// `/never` wait.
fn server(limits: Limits) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let local = listener.local_addr();
    let (asks, mut asked) = mpsc::channel::<Ask>(8);
    tokio::spawn(async move {
        let mut waiting = Vec::new();
        while let Some(Ask { request, answer }) = asked.recv().await {
            match request.uri.path() {
                "/busy" => {}
                "/never" => waiting.push(answer),
                path => {
                    assert!(request.source.is_loopback());
                    let body = format!("{} {path} {}", request.method, request.body.len()).into();
                    let _ = answer.send(Answer { status: StatusCode::OK, headers: HeaderMap::new(), body });
                }
            }
        }
    });
    Server { local, serving: tokio::spawn(serve(listener, None, asks, limits)) }
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.local).await.unwrap()
    }

    /// Sends bytes, and reads until the other end has no more to say.
    async fn told(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // It may have seen enough before all is sent.
        let _ = stream.write_all(bytes).await;
        rest(&mut stream).await
    }
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut told = Vec::new();
    // Whoever is cut off hears of it in one way or another.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut told)).await.expect("it is let go");
    String::from_utf8(told).unwrap()
}

/// Reads one answer that ends with these words.
async fn until(stream: &mut TcpStream, words: &str) {
    let mut told = String::new();
    while !told.ends_with(words) {
        let mut some = [0; 1024];
        let count = timeout(PATIENCE, stream.read(&mut some)).await.unwrap().unwrap();
        assert!(count > 0, "{told}");
        told.push_str(std::str::from_utf8(&some[..count]).unwrap());
    }
}

#[tokio::test]
async fn requests_are_answered_one_after_the_other_on_one_connection() {
    let server = server(Limits::default());
    let mut stream = server.connect().await;
    stream.write_all(b"PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n12345").await.unwrap();
    until(&mut stream, "\r\n\r\nPUT /a 5").await;
    let chunked = b"PUT /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    stream.write_all(chunked).await.unwrap();
    until(&mut stream, "\r\n\r\nPUT /b 3").await;
    stream.write_all(b"HEAD /c HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await.unwrap();
    let head = rest(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
}

#[tokio::test]
async fn sec_01_what_is_too_long_is_refused_before_it_is_read() {
    let limits = Limits { body: 1000, ..Limits::default() };
    let server = server(limits);
    let long = server.told(b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n").await;
    assert!(long.starts_with("HTTP/1.1 413 ") && long.contains("connection: close\r\n"), "{long}");
    let mut chunked = b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    chunked.extend(b"190\r\n".iter().chain(&[b'x'; 400]).chain(b"\r\n").copied().cycle().take(407 * 3));
    let chunked = server.told(&chunked).await;
    assert!(chunked.starts_with("HTTP/1.1 413 "), "{chunked}");
    let field = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let field = server.told(field.as_bytes()).await;
    assert!(field.starts_with("HTTP/1.1 431 "), "{field}");
    let fields = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: y\r\n".repeat(100));
    let fields = server.told(fields.as_bytes()).await;
    assert!(fields.starts_with("HTTP/1.1 431 "), "{fields}");
    let nonsense = server.told(b"SUBSCRIBE sip:alice@example.com SIP/2.0\r\n\r\n").await;
    assert!(nonsense.is_empty() || nonsense.starts_with("HTTP/1.1 400 "), "{nonsense}");
}

#[tokio::test]
async fn sec_01_who_is_slow_is_let_go() {
    let server = server(Limits { head_within: SHORT, body_within: SHORT, ..Limits::default() });
    // Nothing at all, half a head, half a body, nothing after an answer.
    assert_eq!(server.told(b"").await, "");
    let head = server.told(b"GET / HTTP/1.1\r\nHo").await;
    assert!(head.is_empty() || head.starts_with("HTTP/1.1 408 "), "{head}");
    let body = server.told(b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n12").await;
    assert!(body.starts_with("HTTP/1.1 408 ") && body.contains("connection: close\r\n"), "{body}");
    let idle = server.told(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(idle.starts_with("HTTP/1.1 200 "), "{idle}");
    let server = self::server(Limits { connection: SHORT, ..Limits::default() });
    assert_eq!(server.told(b"GET /never HTTP/1.1\r\nHost: h\r\n\r\n").await, "");
}

#[tokio::test]
async fn sec_01_there_are_so_many_connections_and_no_more() {
    let server = server(Limits { connections: 2, ..Limits::default() });
    let ask = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let (mut one, mut two) = (server.connect().await, server.connect().await);
    for stream in [&mut one, &mut two] {
        stream.write_all(ask).await.unwrap();
        until(stream, "GET / 0").await;
    }
    assert_eq!(server.told(ask).await, "", "there is no place");
    drop(one);
    let freed = async {
        while server.told(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, freed).await.expect("a place that is given back is taken");
    let places = Places::default();
    let limits = Limits { connections: 10, of_one: 2, ..Limits::default() };
    let far: IpAddr = "192.0.2.1".parse().unwrap();
    let held: Vec<_> = (0..2).map(|_| places.take(far, &limits).unwrap()).collect();
    assert!(places.take(far, &limits).is_none() && places.take("192.0.2.2".parse().unwrap(), &limits).is_some());
    drop(held);
    assert!(places.take(far, &limits).is_some());
    assert!(places.0.lock().unwrap().is_empty(), "nobody is kept in mind");
}

#[tokio::test]
async fn who_does_not_answer_is_busy_and_who_is_gone_ends_it() {
    let server = server(Limits { answer_within: SHORT, ..Limits::default() });
    for path in ["/busy", "/never"] {
        let busy = server.told(format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").as_bytes()).await;
        assert!(busy.starts_with("HTTP/1.1 503 ") && busy.contains("retry-after: 10\r\n"), "{busy}");
    }
    let mut open = server.connect().await;
    open.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    until(&mut open, "GET / 0").await;
    server.serving.abort();
    assert_eq!(rest(&mut open).await, "");
    let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let (asks, asked) = mpsc::channel(1);
    drop(asked);
    timeout(PATIENCE, serve(listener, None, asks, Limits::default())).await.unwrap().unwrap();
}

#[test]
fn in_clear_text_this_machine_alone_is_served() {
    let refused = refuse_clear("192.0.2.1:80".parse().unwrap(), false).unwrap_err().to_string();
    assert_eq!(refused, "192.0.2.1:80: other machines are not served in clear text");
    for (local, is_tls) in [("127.0.0.1:80", false), ("[::1]:80", false), ("192.0.2.1:443", true)] {
        refuse_clear(local.parse().unwrap(), is_tls).unwrap();
    }
}
