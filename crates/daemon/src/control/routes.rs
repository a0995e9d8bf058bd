//! The routes of the control socket with their description (OpenAPI 3.1), which is made from the
//! types of the handlers: nothing can be served without it, and it cannot say what is not so.

use std::sync::Arc;

use axum::extract::{Path as UrlPath, Query, State};
use axum::handler::Handler;
use axum::middleware::from_fn;
use axum::routing::{self, MethodRouter};
use axum::{Json, Router};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::Trouble;
use super::act::{self, Act};
use super::events::{self, Events};
use crate::api::Refused;
use crate::shared::Shared;

/// Where schemas are in the description.
const SCHEMAS: &str = "/components/schemas";

/// A table of routes.
pub(super) struct Routes {
    router: Router<Arc<Shared>>,
    paths: Map<String, Value>,
    /// Of what is taken and of what is given: a field with a default may be left out of the one, and
    /// is always in the other.
    taken: SchemaGenerator,
    given: SchemaGenerator,
}

impl Default for Routes {
    fn default() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = SCHEMAS.into();
            settings.meta_schema = None;
        });
        Self {
            router: Router::new(),
            paths: Map::new(),
            taken: settings.clone().for_deserialize().into_generator(),
            given: settings.for_serialize().into_generator(),
        }
    }
}

impl Routes {
    /// `GET path`, which changes nothing. `about` says what it is for.
    pub(super) fn get<H, T, A>(self, path: &'static str, about: &str, handler: H) -> Self
    where
        H: Handler<T, Arc<Shared>> + Described<A>,
        T: 'static,
    {
        self.with::<H, A>("get", path, about, routing::get(handler))
    }

    /// `POST path`, which does something: it is written to the audit log, with what the handler says
    /// of it by an [`Act`].
    pub(super) fn post<H, T, A>(self, path: &'static str, about: &str, handler: H) -> Self
    where
        H: Handler<T, Arc<Shared>> + Described<A>,
        T: 'static,
    {
        let written = routing::post(handler).route_layer(from_fn(act::written));
        self.with::<H, A>("post", path, about, written)
    }

    /// `POST path`, which changes nothing: a question too large for an address.
    pub(super) fn ask<H, T, A>(self, path: &'static str, about: &str, handler: H) -> Self
    where
        H: Handler<T, Arc<Shared>> + Described<A>,
        T: 'static,
    {
        self.with::<H, A>("post", path, about, routing::post(handler))
    }

    fn with<H: Described<A>, A>(
        mut self,
        method: &str,
        path: &'static str,
        about: &str,
        route: MethodRouter<Arc<Shared>>,
    ) -> Self {
        let mut operation = Operation {
            path,
            parameters: Vec::new(),
            body: None,
            taken: &mut self.taken,
        };
        H::describe(&mut operation);
        let Operation {
            parameters, body, ..
        } = operation;
        let mut described = json!({
            "operationId": operation_id(method, path),
            "summary": about,
            "parameters": parameters,
            "responses": {
                "200": { "description": "What was asked for", "content": H::answer(&mut self.given) },
                "default": { "$ref": "#/components/responses/Refused" },
            },
        });
        if let Some(body) = body {
            described["requestBody"] = json!({ "required": true, "content": content(body) });
        }
        let at_path = self.paths.entry(path).or_insert_with(|| json!({}));
        at_path[method] = described;
        Self {
            router: self.router.route(path, route),
            ..self
        }
    }

    pub(super) fn into_router(self) -> Router<Arc<Shared>> {
        self.router
    }

    /// The description of all of them.
    pub(super) fn into_description(mut self) -> Value {
        let refused = self.given.subschema_for::<Refused>();
        let mut schemas = self.taken.take_definitions(true);
        schemas.extend(self.given.take_definitions(true));
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Gatepost",
                "summary": "What a running relay can be asked, and told to do",
                "version": env!("CARGO_PKG_VERSION"),
            },
            "servers": [{
                "url": "http://gatepost",
                "description": "HTTP over the Unix socket that control.socket names",
            }],
            "paths": self.paths,
            "components": {
                "schemas": schemas,
                "responses": {
                    "Refused": {
                        "description": "It is refused or has failed",
                        "content": content(refused),
                    },
                },
            },
        })
    }
}

/// `get_queue_count`
fn operation_id(method: &str, path: &str) -> String {
    let words = path.trim_start_matches("/v1").replace(['{', '}'], "");
    method.to_owned() + &words.replace(['/', '.'], "_")
}

fn content(schema: Schema) -> Value {
    json!({ "application/json": { "schema": schema } })
}

/// What is known of one call.
pub(super) struct Operation<'a> {
    path: &'static str,
    parameters: Vec<Value>,
    body: Option<Schema>,
    taken: &'a mut SchemaGenerator,
}

/// A part of a request, as a handler takes it.
pub(super) trait Taken {
    fn describe(operation: &mut Operation<'_>);
}

impl Taken for State<Arc<Shared>> {
    fn describe(_: &mut Operation<'_>) {}
}

/// Who asks is nothing that he writes.
impl Taken for Act {
    fn describe(_: &mut Operation<'_>) {}
}

/// The one part of the path that stands in braces.
impl<T: JsonSchema> Taken for UrlPath<T> {
    fn describe(operation: &mut Operation<'_>) {
        let name = operation.path.split(['{', '}']).nth(1);
        operation.parameters.push(json!({
            "name": name,
            "in": "path",
            "required": true,
            "schema": operation.taken.subschema_for::<T>(),
        }));
    }
}

impl<T: JsonSchema> Taken for Query<T> {
    fn describe(operation: &mut Operation<'_>) {
        let fields = T::json_schema(operation.taken);
        let required = fields.get("required").and_then(Value::as_array);
        let is_required =
            |name: &str| required.is_some_and(|all| all.iter().any(|one| one == name));
        let all = fields.get("properties").and_then(Value::as_object);
        for (name, schema) in all.into_iter().flatten() {
            let mut schema = schema.clone();
            let described = schema
                .as_object_mut()
                .and_then(|schema| schema.remove("description"));
            operation.parameters.push(json!({
                "name": name,
                "in": "query",
                "required": is_required(name),
                "description": described,
                "schema": schema,
            }));
        }
    }
}

impl<T: JsonSchema> Taken for Json<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.body = Some(operation.taken.subschema_for::<T>());
    }
}

/// What a handler gives where it does not refuse.
pub(super) trait Given {
    /// Its content, by kind.
    fn content(given: &mut SchemaGenerator) -> Value;
}

impl<T: JsonSchema> Given for Json<T> {
    fn content(given: &mut SchemaGenerator) -> Value {
        content(given.subschema_for::<T>())
    }
}

/// Each event has one value of the type as its data.
impl<T: JsonSchema> Given for Events<T> {
    fn content(given: &mut SchemaGenerator) -> Value {
        json!({ events::KIND: { "schema": given.subschema_for::<T>() } })
    }
}

/// A handler whose types say what it takes and what it gives. `A` is what it takes, as a tuple.
pub(super) trait Described<A> {
    fn describe(operation: &mut Operation<'_>);

    fn answer(given: &mut SchemaGenerator) -> Value;
}

/// For handlers of some arguments.
macro_rules! described {
    ($($argument:ident)*) => {
        impl<F, Ended, G, $($argument),*> Described<($($argument,)*)> for F
        where
            F: Fn($($argument),*) -> Ended,
            Ended: Future<Output = Result<G, Trouble>>,
            G: Given,
            $($argument: Taken,)*
        {
            fn describe(_operation: &mut Operation<'_>) {
                $($argument::describe(_operation);)*
            }

            fn answer(given: &mut SchemaGenerator) -> Value {
                G::content(given)
            }
        }
    };
}

described!();
described!(A);
described!(A B);
described!(A B C);
described!(A B C D);

#[cfg(test)]
mod tests {
    use serde_json::json;
    use spool::Verb;

    #[test]
    fn the_verbs_are_described_by_their_words() {
        let described = crate::control::openapi();
        let verb = &described["paths"]["/v1/queue/{verb}"]["post"]["parameters"][0];
        assert_eq!(verb["name"], "verb");
        assert_eq!(verb["schema"]["enum"], json!(Verb::ALL.map(Verb::as_str)));
    }

    /// What is taken has another schema than what is given, and both would have one name.
    #[test]
    fn no_type_is_both_taken_and_given() {
        let mut routes = crate::control::routes();
        let (taken, given) = (
            routes.taken.take_definitions(true),
            routes.given.take_definitions(true),
        );
        assert!(taken.contains_key("PauseChange") && given.contains_key("Status"));
        let both: Vec<_> = taken
            .keys()
            .filter(|name| given.contains_key(*name))
            .collect();
        assert!(both.is_empty(), "{both:?}");
    }
}
