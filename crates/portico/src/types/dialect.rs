//! How an API tells its news while an answer is being made.

/// Each speaks in server-sent events; they differ in what ends a stream, where usage and the model's name stand, and
/// what an error looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Chats and completions: `data:` lines, then `[DONE]`.
    Chat,
    /// OpenAI's Responses: named events up to `response.completed` or `response.incomplete`.
    Responses,
    /// Anthropic's Messages: named events up to `message_stop`.
    Messages,
}
