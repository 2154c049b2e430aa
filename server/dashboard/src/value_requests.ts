// What the editor asks of the node in use.
import { ApiError, getRequest, idempotencyKey, type ApiRequest, type Value } from "./api";
import { send } from "./connection";

/** Null when nothing has this name. */
export async function readValue(name: string): Promise<Value | null> {
  try {
    return (await (await send(getRequest(name))).json()) as Value;
  } catch (error) {
    if (hasStatus(error, 404)) return null;
    throw error;
  }
}

export function hasStatus(error: unknown, status: number): boolean {
  return error instanceof ApiError && error.problem.status === status;
}

/** A write with an idempotency key may be sent again when nobody knows what became of it: it is applied once. */
export async function write(request: ApiRequest): Promise<Response> {
  const keyed = { ...request, headers: { ...request.headers, "Idempotency-Key": idempotencyKey() } };
  try {
    return await send(keyed);
  } catch (error) {
    if (error instanceof ApiError && error.problem.status !== 503 && error.problem.status !== 504) throw error;
    await new Promise((done) => setTimeout(done, 1200));
    return send(keyed);
  }
}
