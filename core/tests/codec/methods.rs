//! Every method: random ones, and the same ones as `amq-protocol` has them.
//!
//! One table, from which all follows. Fields behind a `+` are reserved in 0-9-1; `amq-protocol`
//! passes over them and writes the value that the specification asks for: zero or empty, unless
//! another one is given here.

use std::borrow::Borrow;

use amq_protocol::protocol::{
    AMQPClass, access, basic, channel, confirm, connection, exchange, queue, tx,
};
use proptest::prelude::*;
use proptest::strategy::Union;
use warren_core::amqp::*;

use super::values::{Argument, Range};

/// A random argument for the field; its type follows from the struct it goes into.
macro_rules! any_argument {
    ($field:ident, $range:ident) => {
        Argument::any($range)
    };
}

/// What `amq-protocol` writes for a reserved field.
macro_rules! reserved {
    () => {
        Default::default()
    };
    ($value:expr) => {
        $value
    };
}

macro_rules! methods {
    ($($Class:ident $class:ident { $(
        $Ours:ident $Theirs:ident { $($field:ident),* }
            $(+ { $($own:ident $(= $value:expr)?),* })?
    )* })*) => {
        /// Every method of the table, with random arguments.
        pub(super) fn all_methods(range: Range) -> Vec<(MethodId, BoxedStrategy<Method>)> {
            vec![$($((
                $Ours::ID,
                (Just(()), $(any_argument!($field, range),)* $($(any_argument!($own, range),)*)?)
                    .prop_map(|((), $($field,)* $($($own,)*)?)| {
                        $Ours { $($field,)* $($($own,)*)? }.into()
                    })
                    .boxed(),
            ),)*)*]
        }

        /// The method as `amq-protocol` has it, without its reserved fields.
        pub(super) fn method_to_theirs(method: &Method) -> AMQPClass {
            match method { $($(
                Method::$Ours(method) => {
                    let $Ours { $($field,)* $($($own: _,)*)? } = Borrow::<$Ours>::borrow(method);
                    AMQPClass::$Class($class::AMQPMethod::$Theirs($class::$Theirs {
                        $($field: $field.to_theirs(),)*
                    }))
                }
            )*)* }
        }

        /// A method of `amq-protocol`, with what it writes for reserved fields.
        pub(super) fn method_from_theirs(theirs: &AMQPClass) -> Method {
            match theirs { $($(
                AMQPClass::$Class($class::AMQPMethod::$Theirs($class::$Theirs { $($field),* })) => {
                    $Ours {
                        $($field: Argument::from_theirs($field),)*
                        $($($own: reserved!($($value)?),)*)?
                    }.into()
                }
            )*)* }
        }
    };
}

methods! {
    Connection connection {
        ConnectionStart Start {
            version_major, version_minor, server_properties, mechanisms, locales
        }
        ConnectionStartOk StartOk { client_properties, mechanism, response, locale }
        ConnectionSecure Secure { challenge }
        ConnectionSecureOk SecureOk { response }
        ConnectionTune Tune { channel_max, frame_max, heartbeat }
        ConnectionTuneOk TuneOk { channel_max, frame_max, heartbeat }
        ConnectionOpen Open { virtual_host } + { capabilities, insist }
        ConnectionOpenOk OpenOk {} + { known_hosts }
        ConnectionClose Close { reply_code, reply_text, class_id, method_id }
        ConnectionCloseOk CloseOk {}
        ConnectionBlocked Blocked { reason }
        ConnectionUnblocked Unblocked {}
        ConnectionUpdateSecret UpdateSecret { new_secret, reason }
        ConnectionUpdateSecretOk UpdateSecretOk {}
    }
    Channel channel {
        ChannelOpen Open {} + { out_of_band }
        ChannelOpenOk OpenOk {} + { channel_id }
        ChannelFlow Flow { active }
        ChannelFlowOk FlowOk { active }
        ChannelClose Close { reply_code, reply_text, class_id, method_id }
        ChannelCloseOk CloseOk {}
    }
    Access access {
        AccessRequest Request { realm, exclusive, passive, active, write, read }
        AccessRequestOk RequestOk {} + { ticket = 1 }
    }
    Exchange exchange {
        ExchangeDeclare Declare {
            exchange, kind, passive, durable, auto_delete, internal, nowait, arguments
        } + { ticket }
        ExchangeDeclareOk DeclareOk {}
        ExchangeDelete Delete { exchange, if_unused, nowait } + { ticket }
        ExchangeDeleteOk DeleteOk {}
        ExchangeBind Bind { destination, source, routing_key, nowait, arguments } + { ticket }
        ExchangeBindOk BindOk {}
        ExchangeUnbind Unbind { destination, source, routing_key, nowait, arguments } + { ticket }
        ExchangeUnbindOk UnbindOk {}
    }
    Queue queue {
        QueueDeclare Declare {
            queue, passive, durable, exclusive, auto_delete, nowait, arguments
        } + { ticket }
        QueueDeclareOk DeclareOk { queue, message_count, consumer_count }
        QueueBind Bind { queue, exchange, routing_key, nowait, arguments } + { ticket }
        QueueBindOk BindOk {}
        QueuePurge Purge { queue, nowait } + { ticket }
        QueuePurgeOk PurgeOk { message_count }
        QueueDelete Delete { queue, if_unused, if_empty, nowait } + { ticket }
        QueueDeleteOk DeleteOk { message_count }
        QueueUnbind Unbind { queue, exchange, routing_key, arguments } + { ticket }
        QueueUnbindOk UnbindOk {}
    }
    Basic basic {
        BasicQos Qos { prefetch_count, global } + { prefetch_size }
        BasicQosOk QosOk {}
        BasicConsume Consume {
            queue, consumer_tag, no_local, no_ack, exclusive, nowait, arguments
        } + { ticket }
        BasicConsumeOk ConsumeOk { consumer_tag }
        BasicCancel Cancel { consumer_tag, nowait }
        BasicCancelOk CancelOk { consumer_tag }
        BasicPublish Publish { exchange, routing_key, mandatory, immediate } + { ticket }
        BasicReturn Return { reply_code, reply_text, exchange, routing_key }
        BasicDeliver Deliver { consumer_tag, delivery_tag, redelivered, exchange, routing_key }
        BasicGet Get { queue, no_ack } + { ticket }
        BasicGetOk GetOk { delivery_tag, redelivered, exchange, routing_key, message_count }
        BasicGetEmpty GetEmpty {} + { cluster_id }
        BasicAck Ack { delivery_tag, multiple }
        BasicReject Reject { delivery_tag, requeue }
        BasicRecoverAsync RecoverAsync { requeue }
        BasicRecover Recover { requeue }
        BasicRecoverOk RecoverOk {}
        BasicNack Nack { delivery_tag, multiple, requeue }
    }
    Confirm confirm {
        ConfirmSelect Select { nowait }
        ConfirmSelectOk SelectOk {}
    }
    Tx tx {
        TxSelect Select {}
        TxSelectOk SelectOk {}
        TxCommit Commit {}
        TxCommitOk CommitOk {}
        TxRollback Rollback {}
        TxRollbackOk RollbackOk {}
    }
}

/// Any method.
pub(super) fn any_method(range: Range) -> impl Strategy<Value = Method> {
    Union::new(all_methods(range).into_iter().map(|(_, strategy)| strategy))
}

#[test]
fn every_method_of_the_table_is_tried() {
    let mut tried: Vec<_> = all_methods(Range::Wire).into_iter().map(|(id, _)| id).collect();
    tried.sort();
    let mut known = Method::IDS.to_vec();
    known.sort();
    assert_eq!(tried, known);
}
