//! Trying a server out: where it is, what it answers to one request, and whether it still takes what we publish.

use std::net::SocketAddr;

use super::{ClientError, PresenceClient, Uri, driver::Command, local::targets_of};
use crate::{
    net::dns::Dns,
    presence::core::{Inquiry, Refused},
    sip::probe::Answer,
};

impl PresenceClient {
    /// Looks for the servers behind a URI, in the order in which they are tried, each with its transport: `UDP`, `TCP`.
    ///
    /// # Errors
    /// Why there are none, in words.
    pub async fn servers_of(uri: &Uri) -> Result<Vec<(&'static str, SocketAddr)>, String> {
        let targets = targets_of(&Dns::default(), uri).await?;
        Ok(targets.into_iter().map(|target| (target.transport.token(), target.remote)).collect())
    }

    /// Sends one request on behalf of our account and waits for its final answer, also one that refuses; RFC 3261
    /// allows it 32 s.
    ///
    /// What the server keeps because of it is the caller's to take back.
    ///
    /// # Errors
    /// When the client was stopped; why there is no answer is inside.
    pub async fn inquire(&self, inquiry: Inquiry) -> Result<Result<Answer, Refused>, ClientError> {
        self.ask(|reply| Command::Inquire(Box::new(inquiry), reply)).await
    }

    /// Tells the server again what it keeps of us; returns whether it keeps anything.
    /// [`published_within`](Self::published_within) says how it took that.
    ///
    /// # Errors
    /// When the client was stopped.
    pub async fn republish(&self) -> Result<bool, ClientError> {
        self.ask(Command::Republish).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        client::{Name, Server},
        presence::FailureCode,
    };

    fn inquiry(method: &'static str, to: &PresenceClient) -> Inquiry {
        let directly = Some(to.uri().parse().unwrap());
        let headers = vec![(Name::Expires, "0".to_owned())];
        Inquiry { method, directly, domain: false, contact: true, headers, body: bytes::Bytes::new() }
    }

    #[tokio::test]
    async fn a_question_gets_the_final_answer_whatever_it_is() {
        let client = |user: &str| PresenceClient::builder(&format!("sip:{user}@127.0.0.1")).any_port().bind();
        let (alice, bob) = (client("alice").await.unwrap(), client("bob").await.unwrap());
        let answer = bob.inquire(inquiry("OPTIONS", &alice)).await.unwrap().unwrap();
        assert_eq!((answer.code, answer.allow_events.as_deref()), (200, Some("presence, presence.winfo")));
        assert_eq!(answer.flow.remote, alice.locals()[0]);
        let answer = bob.inquire(inquiry("PUBLISH", &alice)).await.unwrap().unwrap();
        assert_eq!((answer.code, answer.allow.as_deref()), (405, Some("NOTIFY, OPTIONS, SUBSCRIBE")));
        let gone = inquiry("OPTIONS", &alice);
        alice.stop().await;
        let refused = bob.inquire(gone).await.unwrap().unwrap_err();
        assert_eq!(refused.code, FailureCode::Connect);
        assert!(!bob.republish().await.unwrap(), "nothing is kept anywhere");
        bob.stop().await;
        assert!(matches!(bob.republish().await, Err(ClientError::Stopped)));
    }

    #[tokio::test]
    async fn a_question_without_a_way_fails_at_once_and_one_to_our_server_goes_through_its_proxy() {
        let proxy = PresenceClient::builder("sip:proxy@127.0.0.1").any_port().bind().await.unwrap();
        let server = Server::new(Some(format!("sip:{}", proxy.locals()[0]).parse().unwrap()));
        let bob = PresenceClient::builder("sip:bob@example.com").listen(vec!["127.0.0.1".parse().unwrap()]).any_port();
        let bob = bob.server(server).bind().await.unwrap();
        let mut asked = inquiry("OPTIONS", &proxy);
        asked.directly = Some("sips:alice@127.0.0.1;transport=udp".parse().unwrap());
        let refused = bob.inquire(asked).await.unwrap().unwrap_err();
        assert_eq!(refused.code, FailureCode::Connect, "{refused:?}");
        let asked = Inquiry { directly: None, domain: true, ..inquiry("OPTIONS", &proxy) };
        let answer = bob.inquire(asked).await.unwrap().unwrap();
        assert_eq!(answer.flow.remote, proxy.locals()[0]);
    }

    #[tokio::test]
    async fn servers_are_named_in_order_or_it_is_said_why_there_are_none() {
        let servers = PresenceClient::servers_of(&"sip:127.0.0.1:5070;transport=tcp".parse().unwrap()).await;
        assert_eq!(servers, Ok(vec![("TCP", "127.0.0.1:5070".parse().unwrap())]));
        let none = PresenceClient::servers_of(&"sip:127.0.0.1;transport=sctp".parse().unwrap()).await;
        assert!(none.unwrap_err().contains("sctp"));
    }
}
