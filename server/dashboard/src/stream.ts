// One stream over a WebSocket that survives its node: it goes on after the last cursor, on whichever node is in use.
import { streamPath, type StreamMessage } from "./api";
import { connection } from "./connection";
import { openSocket } from "./reach";

export type StreamStatus = "connecting" | "live" | "broken";

export interface StreamListener {
  message(message: StreamMessage): void;
  status(status: StreamStatus): void;
}

const backoff_first_ms = 200;
const backoff_max_ms = 3000;
// A node says something at least every ten seconds.
const silence_max_ms = 25_000;

export class Stream {
  private socket: WebSocket | null = null;
  private cursor: string | null = null;
  private stopped = false;
  private attempts = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private base = "";
  private readonly unsubscribe: () => void;

  constructor(
    private readonly kind: "watch" | "events",
    private readonly prefix: string,
    private readonly listener: StreamListener,
  ) {
    this.unsubscribe = connection.subscribe(() => this.follow());
    this.open();
  }

  stop(): void {
    this.stopped = true;
    this.unsubscribe();
    clearTimeout(this.timer);
    this.socket?.close();
  }

  /** The page has moved to another node: so does the stream, from where it is. */
  private follow(): void {
    const { base, status } = connection.get();
    if (status === "connected" && base !== this.base && !this.stopped) {
      this.attempts = 0;
      this.socket?.close();
      this.open();
    }
  }

  private open(): void {
    clearTimeout(this.timer);
    this.base = connection.get().base;
    this.listener.status(this.attempts < 3 ? "connecting" : "broken");
    const url = this.base.replace(/^http/, "ws") + streamPath(this.kind, this.prefix, this.cursor);
    const socket = openSocket(url);
    this.socket = socket;
    this.expectWithin(silence_max_ms);
    socket.onmessage = (event) => {
      if (socket !== this.socket || typeof event.data !== "string") return;
      this.expectWithin(silence_max_ms);
      this.take(event.data);
    };
    socket.onclose = () => {
      if (socket === this.socket) this.again();
    };
  }

  private take(text: string): void {
    const message = JSON.parse(text) as StreamMessage;
    this.attempts = 0;
    this.listener.status("live");
    this.listener.message(message);
    this.cursor = message.cursor;
  }

  private expectWithin(silence_ms: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.socket?.close();
      this.again();
    }, silence_ms);
  }

  private again(): void {
    this.socket = null;
    clearTimeout(this.timer);
    if (this.stopped) return;
    this.attempts += 1;
    this.listener.status(this.attempts < 3 ? "connecting" : "broken");
    // Spread: every page that lost the same node comes back.
    const wait = Math.min(backoff_max_ms, backoff_first_ms * 2 ** Math.min(this.attempts, 6));
    this.timer = setTimeout(() => this.open(), wait * (0.5 + Math.random() / 2));
  }
}
