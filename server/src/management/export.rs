//! Definitions, as they are exported: what is declared, and what is in force for it.

use std::rc::Rc;

use serde_json::{Value, json};
use warren_core::amqp::ShortStr;
use warren_core::broker::PolicyLayer;

use super::binding::BindingRow;
use super::call::{Answer, Call, Query};
use super::definitions::{OPERATOR_POLICY, VHOST_LIMITS};
use super::json as table;
use super::page::{self, Row};
use super::pieces::{Untaken, Writer, in_pieces};
use super::{
    RABBITMQ_VERSION, State, limit, parameter, permission, policy, queue, reading, user, vhost,
};

/// All definitions, or those of a virtual host. What there may be very much of is read, and sent,
/// bit by bit.
pub(super) async fn export(call: Call) -> Answer {
    let vhosts = call.vhosts().await?;
    let is_one = call.param("vhost").is_some();
    let (mut policies, mut parameters) = (Vec::new(), Vec::new());
    for vhost in &vhosts {
        for found in policy::policies(&call.state, vhost, PolicyLayer::User).await {
            policies.push(policy::to_json(vhost, &found));
        }
        for found in policy::policies(&call.state, vhost, PolicyLayer::Operator).await {
            parameters.push(operator_policy(policy::to_json(vhost, &found)));
        }
        let kept = reading::parameters(&call.state.broker, Some(vhost)).await;
        parameters.extend(kept.iter().map(parameter::to_json));
    }
    let mut definitions = json!({
        "rabbit_version": RABBITMQ_VERSION,
        "rabbitmq_version": RABBITMQ_VERSION,
        "product_name": "Warren",
        "product_version": env!("CARGO_PKG_VERSION"),
        "parameters": parameters,
        "policies": policies,
    });
    if is_one {
        for part in ["parameters", "policies"] {
            let objects = definitions[part].as_array_mut().into_iter().flatten();
            objects.for_each(|object| remove(object, "vhost"));
        }
    } else {
        definitions["rabbitmq_definition_format"] = json!("cluster");
        export_access(&call, &mut definitions).await;
    }
    let state = Rc::clone(&call.state);
    Ok(in_pieces(&Query::new(""), async move |writer| {
        Export { state, vhosts, is_one, writer }.write(&definitions).await
    }))
}

/// An export that is being written.
struct Export {
    state: Rc<State>,
    vhosts: Vec<ShortStr>,
    /// Whether it is of one virtual host, which goes without saying in it then.
    is_one: bool,
    writer: Writer,
}

impl Export {
    /// Writes these, and what is not in them yet.
    async fn write(mut self, definitions: &Value) -> Result<(), Untaken> {
        let mut text = definitions.to_string();
        // Others come behind the last of its members.
        text.truncate(text.len() - 1);
        self.writer.text((text + r#","queues":"#).into()).await?;
        self.queues().await?;
        self.writer.close().await?;
        self.writer.text(br#","exchanges":"#.into()).await?;
        self.exchanges().await?;
        self.writer.close().await?;
        self.writer.text(br#","bindings":"#.into()).await?;
        self.bindings().await?;
        self.writer.close().await?;
        self.writer.text(b"}".into()).await?;
        self.writer.end().await
    }

    async fn queues(&mut self) -> Result<(), Untaken> {
        let names = self.state.names.all(&self.state.broker).await;
        let wanted: Vec<_> = names.iter().filter(|one| self.vhosts.contains(&one.vhost)).collect();
        for some in wanted.chunks(page::AT_ONCE) {
            let some = some.iter().map(|one| (*one).clone()).collect();
            let found = reading::queues_named(&self.state.broker, some).await;
            let shared = found.iter().filter(|queue| queue.owner.is_none());
            let rows = shared.map(|queue| {
                json!({
                    "vhost": queue.vhost.to_text(),
                    "name": queue.name.to_text(),
                    "type": queue::type_of(&queue.arguments),
                    "durable": queue.durable,
                    "auto_delete": queue.auto_delete,
                    "arguments": table::from_table(&queue.arguments),
                })
            });
            self.rows(rows).await?;
        }
        Ok(())
    }

    async fn exchanges(&mut self) -> Result<(), Untaken> {
        let mut all = reading::Exchanges::new(&self.state.broker, self.vhosts.clone());
        while let Some(found) = all.next().await {
            let is_own = |name: &ShortStr| name.is_empty() || name.starts_with("amq.");
            let declared = found.iter().filter(|exchange| !is_own(&exchange.name));
            let rows = declared.map(|exchange| {
                json!({
                    "vhost": exchange.vhost.to_text(),
                    "name": exchange.name.to_text(),
                    "type": exchange.kind,
                    "durable": exchange.durable,
                    "auto_delete": exchange.auto_delete,
                    "internal": exchange.internal,
                    "arguments": table::from_table(&exchange.arguments),
                })
            });
            self.rows(rows).await?;
        }
        Ok(())
    }

    async fn bindings(&mut self) -> Result<(), Untaken> {
        let mut all = reading::Bindings::new(&self.state.broker, self.vhosts.clone());
        while let Some((vhost, _, found)) = all.next().await {
            let rows = found.into_iter().map(|found| {
                let mut row = BindingRow::new(&vhost, found).json();
                remove(&mut row, "properties_key");
                row
            });
            self.rows(rows).await?;
        }
        Ok(())
    }

    async fn rows(&mut self, rows: impl Iterator<Item = Value>) -> Result<(), Untaken> {
        let is_one = self.is_one;
        let rows = rows.map(|mut row| {
            if is_one {
                remove(&mut row, "vhost");
            }
            row
        });
        self.writer.write(rows).await
    }
}

/// Adds who there is, and who may do what.
async fn export_access(call: &Call, definitions: &mut Value) {
    let broker = &call.state.broker;
    let users = reading::users(broker).await;
    definitions["users"] = users.iter().map(user::to_json).collect();
    let mut limits = Vec::new();
    let vhosts = reading::vhosts(broker).await.into_iter().map(|status| {
        let (name, own) = (status.vhost.name.to_text().into_owned(), status.vhost.limits);
        let own = limit::of_vhost_json(own);
        if own.as_object().is_some_and(|own| !own.is_empty()) {
            limits.push(json!({
                "vhost": name, "component": VHOST_LIMITS, "name": "limits", "value": own,
            }));
        }
        json!({ "name": name, "metadata": vhost::metadata(&status.vhost.metadata) })
    });
    definitions["vhosts"] = vhosts.collect();
    if let Some(parameters) = definitions["parameters"].as_array_mut() {
        parameters.extend(limits);
    }
    let permissions = reading::permissions(broker).await.into_iter();
    definitions["permissions"] = permissions.map(|one| permission::row(one).json).collect();
    let topics = reading::topic_permissions(broker).await.into_iter();
    definitions["topic_permissions"] = topics.map(|one| permission::topic_row(one).json).collect();
    let globals = parameter::globals(&call.state).await.into_iter();
    definitions["global_parameters"] =
        globals.map(|(name, value)| json!({ "name": name.to_text(), "value": value })).collect();
}

/// An operator's policy as the parameter that RabbitMQ keeps it as.
fn operator_policy(policy: Value) -> Value {
    let mut value = policy.clone();
    remove(&mut value, "vhost");
    remove(&mut value, "name");
    json!({
        "vhost": policy["vhost"],
        "component": OPERATOR_POLICY,
        "name": policy["name"],
        "value": value,
    })
}

fn remove(object: &mut Value, key: &str) {
    if let Value::Object(object) = object {
        object.remove(key);
    }
}
