//! Generate: the translator writes a statement.

use super::Question;
use crate::schema_context::SchemaContext;
use crate::translator::{Candidate, Feedback, TranslateError, TranslationRequest, Translator};

/// A statement for `question`, written with what became of earlier ones in mind.
pub(super) async fn generate(
    translator: &dyn Translator,
    question: &Question,
    context: &SchemaContext,
    feedback: &[Feedback],
) -> Result<Candidate, TranslateError> {
    let request = TranslationRequest { question: &question.text, context, max_rows: question.max_rows, feedback };
    translator.translate(&request).await
}
