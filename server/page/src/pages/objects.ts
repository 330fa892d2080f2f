// The pages of connections, channels, consumers, exchanges and queues: one part of the page to load,
// as who goes to one of them goes to others.

export { default as Channel } from "./channel.tsx";
export { default as Channels } from "./channels.tsx";
export { default as Connection } from "./connection.tsx";
export { default as Connections } from "./connections.tsx";
export { default as Consumers } from "./consumers.tsx";
export { default as Delayed } from "./delayed.tsx";
export { default as Exchange } from "./exchange.tsx";
export { default as Exchanges } from "./exchanges.tsx";
export { default as Queue } from "./queue.tsx";
export { default as Queues } from "./queues.tsx";
