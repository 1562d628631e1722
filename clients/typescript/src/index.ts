/** Client of Godwit's two APIs: what is generated from their OpenAPI documents, and what no generator gives. */

export { type Connection, connect, fromEnvironment } from "./connection.ts";
export * as ipam from "./ipam/index.ts";
export { type Operation, OperationFailed, OperationUnfinished, readOperation, resourceId, wait, watch } from "./operations.ts";
export { every, type Page } from "./paging.ts";
export { type Patience, patient } from "./patience.ts";
export * as placement from "./placement/index.ts";
export { etag, Refused, Unreachable } from "./refused.ts";
