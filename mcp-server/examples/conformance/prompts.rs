//! The prompts, and what completes their arguments.

use rmcp::ErrorData;
use rmcp::model::{
    CompleteResult, CompletionInfo, ContentBlock, GetPromptRequestParams, GetPromptResult, Prompt, PromptArgument,
    PromptMessage, Role,
};

use crate::samples::PNG;
use crate::tools::resource;

const SIMPLE: &str = "test_simple_prompt";
const WITH_ARGUMENTS: &str = "test_prompt_with_arguments";
const WITH_RESOURCE: &str = "test_prompt_with_embedded_resource";
const WITH_IMAGE: &str = "test_prompt_with_image";

pub(crate) fn list() -> Vec<Prompt> {
    let required =
        |names: &[&str]| names.iter().map(|name| PromptArgument::new(*name).with_required(true)).collect::<Vec<_>>();
    vec![
        Prompt::new(SIMPLE, Some("A text"), None),
        Prompt::new(WITH_ARGUMENTS, Some("A text with two values in it"), Some(required(&["arg1", "arg2"]))),
        Prompt::new(WITH_RESOURCE, Some("A resource and a text"), Some(required(&["resourceUri"]))),
        Prompt::new(WITH_IMAGE, Some("An image and a text"), None),
    ]
}

pub(crate) fn get(request: &GetPromptRequestParams) -> Result<GetPromptResult, ErrorData> {
    let argument = |name: &str| {
        let value = request.arguments.as_ref().and_then(|arguments| arguments.get(name)?.as_str());
        value.ok_or_else(|| ErrorData::invalid_params(format!("the argument {name:?} is missing, or no text"), None))
    };
    let content = match &*request.name {
        SIMPLE => vec![ContentBlock::text("This is a simple prompt for testing.")],
        WITH_ARGUMENTS => {
            let (first, second) = (argument("arg1")?, argument("arg2")?);
            vec![ContentBlock::text(format!("Prompt with arguments: arg1='{first}', arg2='{second}'"))]
        }
        WITH_RESOURCE => vec![
            resource(argument("resourceUri")?, "text/plain", "Embedded resource content for testing."),
            ContentBlock::text("Please process the embedded resource above."),
        ],
        WITH_IMAGE => {
            vec![ContentBlock::image(PNG, "image/png"), ContentBlock::text("Please analyze the image above.")]
        }
        name => return Err(ErrorData::invalid_params(format!("there is no prompt {name:?}"), None)),
    };
    let messages = content.into_iter().map(|content| PromptMessage::new(Role::User, content));
    Ok(GetPromptResult::new(messages.collect()))
}

/// Values of an argument that begin with what was typed.
pub(crate) fn complete(typed: &str) -> Result<CompleteResult, ErrorData> {
    let values = ["paris", "park", "party", "test"].into_iter().filter(|value| value.starts_with(typed));
    let completion = CompletionInfo::new(values.map(str::to_owned).collect());
    completion.map(CompleteResult::new).map_err(|error| ErrorData::internal_error(error, None))
}
