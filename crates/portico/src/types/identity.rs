use std::sync::Arc;

/// Who a request is of, as the log names him.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) user: Arc<str>,
    /// The id of the API key that was used.
    pub(crate) key: Option<Arc<str>>,
}
