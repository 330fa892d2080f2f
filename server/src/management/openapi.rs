//! The description of the API in OpenAPI 3.1, made of the table of routes.

use serde_json::{Map, Value, json};

use super::call::{Answer, Call, Reply};
use super::route::parameter;
use super::routes::ROUTES;

pub(super) async fn describe(_call: Call) -> Answer {
    Ok(Reply::Json(description()))
}

/// The whole description.
fn description() -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        let mut operations = Map::new();
        for operation in route.operations {
            let described = json!({
                "summary": operation.summary,
                "security": [{ "basic": [] }],
                "x-tags-any-of": operation.tag.any_of(),
                "responses": {
                    "2XX": { "description": "Done." },
                    "400": { "$ref": "#/components/responses/Failure" },
                    "401": { "$ref": "#/components/responses/Failure" },
                    "404": { "$ref": "#/components/responses/Failure" },
                },
            });
            operations.insert(operation.method.as_str().to_lowercase(), described);
        }
        let parameters = route.path.split('/').filter_map(parameter).map(|name| {
            json!({
                "name": name, "in": "path", "required": true, "schema": { "type": "string" },
            })
        });
        operations.insert("parameters".into(), parameters.collect());
        paths.insert(route.path.into(), Value::Object(operations));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Warren management API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The HTTP API of RabbitMQ's management plugin, as Warren has it.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": { "basic": { "type": "http", "scheme": "basic" } },
            "responses": { "Failure": {
                "description": "Why not.",
                "content": { "application/json": { "schema": {
                    "type": "object",
                    "properties": {
                        "error": { "type": "string" }, "reason": { "type": "string" },
                    },
                    "required": ["error", "reason"],
                }}},
            }},
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described_with_its_parameters() {
        let description = description();
        let queue = &description["paths"]["/api/queues/{vhost}/{queue}"];
        assert_eq!(queue["parameters"][1]["name"], "queue");
        assert!(queue["put"]["summary"].is_string() && queue["delete"].is_object());
        assert_eq!(description["paths"].as_object().expect("an object").len(), ROUTES.len());
    }
}
