//! Authentication-Info: the server's proof, and the nonce it wants next (RFC 7616 §3.5).

use super::{
    Account, Digest, Kind, Qop, Sent, Use,
    challenge::{pair, unescape},
};
use crate::sip::{
    header::{Name, split_list},
    message::Message,
};

impl Account {
    /// Follows the Authentication-Info of a response to what was sent; false when its proof is wrong (AUT-15).
    pub fn take_info(&mut self, sent: &[Sent], message: &Message<'_>) -> bool {
        let Some(line) = message.get(Name::AuthenticationInfo).and_then(|line| std::str::from_utf8(line).ok()) else {
            return true;
        };
        let Some(sent) = sent.iter().find(|sent| sent.kind == Kind::Server) else { return true };
        let params: Vec<(&str, &str)> =
            split_list(line.as_bytes()).filter_map(|member| pair(std::str::from_utf8(member).ok()?)).collect();
        let get = |name: &str| params.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| *value);
        if let (Some(proof), Some((qop, nc, cnonce))) = (get("rspauth"), &sent.usage)
            && let Some(ha1) = self.ha1(sent.algorithm.hash)
        {
            let qop = match get("qop") {
                Some(qop) if qop.eq_ignore_ascii_case("auth-int") => Qop::AuthInt,
                Some(_) => Qop::Auth,
                None => *qop,
            };
            let nonce = unescape(&sent.nonce);
            let digest = Digest {
                algorithm: sent.algorithm,
                ha1: &ha1,
                nonce: &nonce,
                usage: Some(Use { qop, nc: *nc, cnonce }),
                method: "",
                uri: &sent.uri,
                body: message.body,
            };
            if !digest.response().eq_ignore_ascii_case(proof) {
                return false;
            }
        }
        if let Some(next) = get("nextnonce").filter(|next| !next.contains(|c: char| c.is_control())) {
            self.renew(sent, next);
        }
        true
    }
}
