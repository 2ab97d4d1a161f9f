//! `--trace-sip`: every message, by whichever process it was sent.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpStream, UdpSocket},
    os::unix::fs::PermissionsExt,
};

use nix::sys::signal::Signal;

use crate::support::{Home, Running};

#[test]
fn show_traces_its_own_messages_on_stderr_and_leaves_stdout_alone() {
    let (alice, bob) = (Home::new("alice"), Home::new("bob"));
    alice.run(&["watchers", "allow", "bob@127.0.0.1"]);
    let _agent = alice.agent();
    alice.run(&["set", "away"]);
    let show = bob.run(&["show", "--trace-sip", &alice.address()]);
    assert_eq!(show.out.lines().count(), 1, "{show:?}");
    assert!(show.out.contains("\taway"), "{show:?}");
    let heads: Vec<&str> = show.err.lines().filter(|line| line.contains(" > ")).collect();
    let peer = format!("127.0.0.1:{}", alice.port);
    assert!(heads[0].contains(" sent udp 127.0.0.1:") && heads[0].ends_with(&format!(" > {peer}")), "{heads:?}");
    assert!(heads[1..].iter().any(|head| head.contains(&format!(" received udp {peer} > 127.0.0.1:"))), "{heads:?}");
    for message in ["SUBSCRIBE sip:alice@127.0.0.1", "SIP/2.0 200 OK", "NOTIFY sip:bob@", "<?xml"] {
        assert!(show.err.contains(&format!("\n{message}")), "{message}: {}", show.err);
    }
    assert!(show.err.ends_with("\n\n"), "{}", show.err);
}

#[test]
fn what_a_running_agent_says_for_a_command_is_traced_too() {
    let home = Home::new("alice");
    let _agent = home.agent();
    let show = home.run(&["show", "--trace-sip", "me"]);
    assert!(show.err.contains("\nSUBSCRIBE ") && show.err.contains("\nNOTIFY "), "{show:?}");
    let mut watch = Running::start(home.command(&["watch", "me"]));
    watch.line(&["offline"]);
    let set = home.run(&["--trace-sip", "set", "busy"]);
    assert!(set.err.contains("\nNOTIFY "), "{set:?}");
    watch.line(&["busy"]);
}

#[test]
fn a_file_is_private_and_appended_to_and_one_that_cannot_be_written_is_told() {
    let home = Home::new("alice");
    let file = home.path("trace");
    let flag = format!("--trace-sip={}", file.display());
    let mut agent = home.agent_with(&[&flag]);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    home.run(&["show", "--no-agent", &home.address()]);
    agent.signal(Signal::SIGTERM);
    agent.wait();
    let first = fs::read_to_string(&file).unwrap();
    assert!(first.contains(" received udp ") && first.contains("\nNOTIFY "), "{first}");
    let show = home.run(&["show", "--no-agent", &flag, &home.address()]);
    let both = fs::read_to_string(&file).unwrap();
    assert!(both.starts_with(&first) && both.len() > first.len(), "{show:?}");
    let nowhere = home.run(&["show", "--trace-sip=/no/such/folder/x", "me"]);
    nowhere
        .fails(2, "sippresence: --trace-sip: cannot write /no/such/folder/x: No such file or directory (os error 2)");
}

#[test]
fn sec_07_and_sec_09_secrets_are_hidden_and_controls_visible_over_udp_and_tcp() {
    let home = Home::new("alice");
    let file = home.path("trace");
    let mut agent = home.agent_with(&[&format!("--trace-sip={}", file.display())]);
    let options = |transport: &str| {
        format!(
            "OPTIONS sip:alice@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/{transport} 127.0.0.1:9;branch=z9hG4bK{transport};rport\r\n\
             From: <sip:x:hunter2@h>;tag=a\r\nTo: <sip:alice@127.0.0.1>\r\nCall-ID: {transport}\r\nCSeq: 1 OPTIONS\r\n\
             Max-Forwards: 70\r\nAuthorization: Digest username=\"x\", response=\"hunter2\"\r\nSubject: \u{9b}31m\r\n\
             Content-Length: 0\r\n\r\n"
        )
    };
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.send_to(options("UDP").as_bytes(), ("127.0.0.1", home.port)).unwrap();
    udp.recv(&mut [0; 4096]).unwrap();
    let mut tcp = TcpStream::connect(("127.0.0.1", home.port)).unwrap();
    // In two pieces: it is traced as one message.
    let message = options("TCP");
    let (head, rest) = message.split_at(30);
    tcp.write_all(head.as_bytes()).unwrap();
    tcp.write_all(rest.as_bytes()).unwrap();
    assert!(tcp.read(&mut [0; 4096]).unwrap() > 0);
    agent.signal(Signal::SIGTERM);
    agent.wait();
    let traced = fs::read_to_string(&file).unwrap();
    for transport in ["udp", "tcp"] {
        let received = format!(" received {transport} ");
        let message = traced.split(&received).nth(1).unwrap();
        assert!(message.contains("\nOPTIONS sip:alice@127.0.0.1 SIP/2.0\r\n"), "{traced}");
        assert!(traced.contains(&format!(" sent {transport} 127.0.0.1:{} > ", home.port)), "{traced}");
    }
    assert!(!traced.contains("hunter2") && traced.contains("response=\"***\""), "{traced}");
    assert!(traced.contains("\\u009b31m") && !traced.contains('\u{9b}'), "{traced}");
}

/// Reads the packets of a pcapng file: sections, then each packet's transport and payload.
fn packets(bytes: &[u8]) -> (usize, Vec<(u8, String)>) {
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let (mut at, mut sections, mut found) = (0, 0, Vec::new());
    while at < bytes.len() {
        let total = word(at + 4) as usize;
        assert!(total >= 12 && word(at + total - 4) as usize == total, "a broken block at {at}");
        match word(at) {
            0x0a0d_0d0a => sections += 1,
            1 => assert_eq!(bytes[at + 8], 101, "no link layer"),
            6 => {
                let packet = &bytes[at + 28..at + 28 + word(at + 20) as usize];
                assert_eq!(packet[0], 0x45);
                let header = if packet[9] == 17 { 28 } else { 40 };
                found.push((packet[9], String::from_utf8_lossy(&packet[header..]).into_owned()));
            }
            other => panic!("a block of kind {other}"),
        }
        at += total;
    }
    (sections, found)
}

#[test]
fn a_file_for_wireshark_has_each_message_as_a_packet_and_a_section_for_each_run() {
    let home = Home::new("alice");
    let _agent = home.agent();
    let file = home.path("trace.pcapng");
    let flag = format!("--trace-sip={}", file.display());
    let show = |transport: &str| {
        let target = format!("sip:{}{transport}", home.address());
        home.run(&["show", "--no-agent", &flag, &target])
    };
    show("");
    let first = fs::read(&file).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let (sections, found) = packets(&first);
    assert_eq!((sections, found[0].0), (1, 17));
    assert!(found[0].1.starts_with("SUBSCRIBE sip:alice@127.0.0.1"), "{found:?}");
    assert!(found.iter().any(|(_, message)| message.starts_with("NOTIFY sip:")), "{found:?}");
    show(";transport=tcp");
    let both = fs::read(&file).unwrap();
    assert!(both.starts_with(&first));
    let (sections, more) = packets(&both);
    assert_eq!((sections, &more[..found.len()]), (2, &found[..]));
    assert!(more[found.len()..].iter().any(|(protocol, message)| *protocol == 6 && message.starts_with("SUBSCRIBE ")));
    // Where Wireshark's own reader is at hand, it has to see the same.
    if let Ok(read) =
        std::process::Command::new("tshark").args(["-n", "-T", "fields", "-e", "sip.CSeq", "-r"]).arg(&file).output()
    {
        let text = String::from_utf8_lossy(&read.stdout).into_owned();
        assert!(read.status.success(), "{read:?}");
        assert_eq!(text.lines().filter(|line| !line.is_empty()).count(), more.len(), "{text}");
    }
    let text = home.path("text.pcapng");
    fs::write(&text, "no packets\n").unwrap();
    let refused = home.run(&["show", "--no-agent", &format!("--trace-sip={}", text.display()), "me"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.err.contains("is there and is no pcapng file"), "{refused:?}");
    assert_eq!(fs::read_to_string(&text).unwrap(), "no packets\n");
}
