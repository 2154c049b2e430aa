// A stream as a view's model has it: its messages go to the model, what has become of it into a state that views follow;
// they draw at most once a frame, however much comes.
import type { StreamMessage } from "./api";
import { Store } from "./store";
import { Stream, type StreamStatus } from "./stream";

export interface FeedState {
  status: StreamStatus;
  /** Grows with every frame in which something came, so that views know when to draw. */
  version: number;
  /** How often there were messages that are no longer kept. */
  gaps: number;
}

export class Feed {
  readonly state = new Store<FeedState>({ status: "connecting", version: 0, gaps: 0 });
  private gaps = 0;
  private frame = 0;
  private readonly stream: Stream;

  constructor(kind: "watch" | "events", prefix: string, take: (message: StreamMessage) => void) {
    this.stream = new Stream(kind, prefix, {
      message: (message) => {
        if (message.type === "gap") this.gaps += 1;
        take(message);
        this.draw();
      },
      status: (status) => {
        if (status !== this.state.get().status) this.state.update({ status });
      },
    });
  }

  stop(): void {
    cancelAnimationFrame(this.frame);
    this.stream.stop();
  }

  draw(): void {
    if (this.frame !== 0) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.state.update({ version: this.state.get().version + 1, gaps: this.gaps });
    });
  }
}

/** The model of a prefix goes on while other views are shown, until another prefix is asked for. */
export function keptModel<Model extends { prefix: string; stop(): void }>(make: (prefix: string) => Model) {
  let kept: Model | null = null;
  return (prefix: string): Model => {
    if (kept?.prefix !== prefix) {
      kept?.stop();
      kept = make(prefix);
    }
    return kept;
  };
}
