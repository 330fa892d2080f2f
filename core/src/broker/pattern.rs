//! Regular expressions that people give: over bytes, found anywhere unless they say where, in
//! linear time whoever wrote them. What takes more (references back, looking around) is not known.

use alloc::string::{String, ToString};

use regex_automata::nfa::thompson::{self, pikevm};
use regex_automata::util::syntax;

/// A pattern is not longer than this, in bytes.
pub(crate) const PATTERN_LEN_MAX: usize = 1024;
/// Nor may it take more memory than this, compiled: `(a{99}){99}` is short.
const PATTERN_MEMORY_MAX: usize = 1 << 20;

/// Compiles a pattern, as RabbitMQ does without options.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn compile(pattern: &str) -> Result<pikevm::PikeVM, String> {
    let syntax = syntax::Config::new().unicode(false).utf8(false);
    let parsed = syntax::parse_with(pattern, &syntax).map_err(|error| {
        // The lines before the last one draw the place.
        error.to_string().lines().last().unwrap_or_default().to_string()
    })?;
    let config = thompson::Config::new()
        .utf8(false)
        .nfa_size_limit(Some(PATTERN_MEMORY_MAX))
        .which_captures(thompson::WhichCaptures::None);
    let too_large = |error: thompson::BuildError| error.to_string();
    let compiled = thompson::NFA::compiler().configure(config).build_from_hir(&parsed);
    pikevm::PikeVM::new_from_nfa(compiled.map_err(too_large)?).map_err(too_large)
}
