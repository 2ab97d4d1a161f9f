//! One connection, from either end: lines of JSON with a limit.

use std::{io, path::Path};

use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

use super::{Hello, MAX_ANSWER, PROTOCOL, Reply, Request};

/// Why talking over the control socket failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The socket cannot be used.
    #[error("the agent's socket cannot be used: {0}")]
    Io(#[from] io::Error),
    /// The other end closed.
    #[error("the agent closed the connection")]
    Closed,
    /// The other end is of another version.
    #[error("the agent is version {version} and speaks protocol {theirs}, this program protocol {PROTOCOL}")]
    Protocol {
        /// Its version.
        version: String,
        /// Its protocol.
        theirs: u32,
    },
    /// What came is no line of the protocol.
    #[error("a line that is not understood: {0}")]
    Malformed(String),
    /// What came is longer than a line may be.
    #[error("a line longer than {0} bytes")]
    TooLong(usize),
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    buffer: Vec<u8>,
    /// The longest line that we take.
    limit: usize,
    /// What the other end said first.
    pub peer: Hello,
}

impl Connection {
    /// Connects to an agent; none if no agent listens there, or one that is on its way out.
    pub async fn open(path: &Path) -> Result<Option<Self>, ControlError> {
        let stream = match UnixStream::connect(path).await {
            Ok(stream) => stream,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        match Self::greet(stream, Hello::new(), MAX_ANSWER).await {
            Err(ControlError::Closed) => Ok(None),
            Err(ControlError::Io(error))
                if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) =>
            {
                Ok(None)
            }
            greeted => greeted.map(Some),
        }
    }

    /// Returns the process that listens at `path`, whatever it is and speaks; none if nobody does.
    pub async fn process_at(path: &Path) -> io::Result<Option<i32>> {
        match UnixStream::connect(path).await {
            Ok(stream) => Ok(stream.peer_cred()?.pid()),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Exchanges greetings.
    pub(super) async fn greet(stream: UnixStream, hello: Hello, limit: usize) -> Result<Self, ControlError> {
        let mut connection = Self { stream, buffer: Vec::new(), limit, peer: hello.clone() };
        connection.write(&hello).await?;
        let peer: Hello = connection.read().await?.ok_or(ControlError::Closed)?;
        if peer.protocol != PROTOCOL {
            return Err(ControlError::Protocol { version: peer.version, theirs: peer.protocol });
        }
        connection.peer = peer;
        Ok(connection)
    }

    /// Sends a request and waits for its reply.
    pub async fn request(&mut self, request: &Request) -> Result<Reply, ControlError> {
        self.write(request).await?;
        self.read().await?.ok_or(ControlError::Closed)
    }

    /// Reads the next line; none when the other end closed. Cancel-safe.
    pub async fn read<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ControlError> {
        let mut looked = 0;
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer[looked..]) {
                let end = looked + end;
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return serde_json::from_slice(&line)
                    .map(Some)
                    .map_err(|error| ControlError::Malformed(error.to_string()));
            }
            looked = self.buffer.len();
            if looked > self.limit {
                return Err(ControlError::TooLong(self.limit));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Writes one line.
    pub async fn write(&mut self, line: &impl Serialize) -> Result<(), ControlError> {
        let mut bytes = serde_json::to_vec(line).map_err(|error| ControlError::Malformed(error.to_string()))?;
        bytes.push(b'\n');
        Ok(self.stream.write_all(&bytes).await?)
    }

    /// Waits until the other end closes; what it says meanwhile is kept for [`read`](Self::read). Cancel-safe.
    ///
    /// Of an end that says more than a line may hold, no more is heard: not its end either.
    pub async fn closed(&mut self) {
        while self.buffer.len() <= self.limit {
            if matches!(self.stream.read_buf(&mut self.buffer).await, Ok(0) | Err(_)) {
                return;
            }
        }
        std::future::pending::<()>().await;
    }
}
