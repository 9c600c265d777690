//! `portico config schema`, `reference` and `explain`: read only, and no configuration is needed.

use super::arguments::{ExplainArguments, ReferenceArguments};
use super::{Context, Exit};
use crate::config::{explain as explaining, reference as referring, schema as schemas};
use crate::types::{Tongue, text};

pub(crate) fn schema(context: &Context) -> Exit {
    context.out.data(&format!("{}\n", schemas::schema(context.tongue)))
}

pub(crate) fn reference(context: &Context, arguments: &ReferenceArguments) -> Exit {
    let tongue = arguments.lang.map_or(context.tongue, Tongue::from);
    if arguments.json {
        return context.out.data(&format!("{}\n", referring::reference_json(tongue)));
    }
    context.out.data(&referring::reference(tongue))
}

pub(crate) fn explain(context: &Context, arguments: &ExplainArguments) -> Exit {
    let tongue = arguments.lang.map_or(context.tongue, Tongue::from);
    match explaining::find(&arguments.key) {
        Ok(subject) if arguments.json => {
            let value = explaining::explain_json(subject, tongue);
            context.out.data(&format!("{value:#}\n"))
        }
        Ok(subject) => context.out.data(&explaining::explain(subject, tongue)),
        Err(unknown) => {
            let key = &arguments.key;
            let said = match &unknown.near {
                Some(near) => text!(
                    "error: there is no key `{key}`; did you mean `{near}`?\n",
                    "错误:没有键 `{key}`;是否想写 `{near}`?\n"
                ),
                None => text!(
                    "error: there is no key `{key}`; all of them: portico config reference\n",
                    "错误:没有键 `{key}`;查看全部:portico config reference\n"
                ),
            };
            context.out.talk(said.pick(tongue));
            Exit::Wrong
        }
    }
}
