//! `SIPp`: a scripted peer that looks at every line of what we send.

use super::support::Test;

pub(crate) const TESTS: &[Test] = &[];
