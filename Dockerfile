# The embedded presence server, built from this repository:
#   docker build -t sippresence .
#   docker run --network host -v sippresence:/var/lib/sippresence sippresence --domain example.com --listen 192.0.2.1
# The network is the host's, for a server tells its own addresses to whoever it talks to.
FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked

FROM debian:bookworm-slim
RUN useradd --system --home-dir /var/lib/sippresence --create-home --shell /usr/sbin/nologin sippresence
COPY --from=build /src/target/release/sippresence /usr/local/bin/sippresence
USER sippresence
ENV HOME=/var/lib/sippresence XDG_STATE_HOME=/var/lib/sippresence/state XDG_RUNTIME_DIR=/tmp
VOLUME /var/lib/sippresence
ENTRYPOINT ["sippresence", "serve"]
CMD ["--domain", "localhost"]
