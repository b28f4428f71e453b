//! A request on another route.

use serde_json::Value;

use super::{
    request::{Body, Prompt, Request},
    route::Route,
};

impl Request {
    /// The request as it is on this route. An invalid part is reported when it is sent, as with any request.
    pub(super) fn on_route(&self, route: &Route) -> Self {
        let mut request = self.clone();
        if let Some(endpoint) = &route.endpoint {
            request.set().endpoint = Some(endpoint.clone());
        }
        if let Some(path) = &route.path {
            request.path = Some(path.clone());
        }
        match &route.body {
            Some(Ok(body)) => request.body = Body::Json(body.clone()),
            Some(Err(why)) => request.reject(format!("the body of a route is not JSON: {why}")),
            None => {}
        }
        if let Some(model) = &route.model {
            match with_model(&request.body, model) {
                Ok(body) => request.body = body,
                Err(why) => request.reject(why),
            }
        }
        request
    }
}

/// The body with another model.
fn with_model(body: &Body, model: &str) -> Result<Body, String> {
    let json = match body {
        Body::Json(json) => json,
        Body::Prompt(prompt) => {
            return Ok(Body::Prompt(Box::new(Prompt { model: model.to_owned(), ..(**prompt).clone() })));
        }
        _ => return Err(String::from("a route names a model, and the request's body is not JSON")),
    };
    match outbound_provider::lenient_json(json) {
        Some(Value::Object(mut fields)) => {
            fields.insert(String::from("model"), model.into());
            Ok(Body::Json(Value::Object(fields).to_string().into()))
        }
        _ => Err(String::from("a route names a model, and the request's body is not a JSON object")),
    }
}
