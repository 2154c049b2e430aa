// What an operator does to the cluster, each after a question that says what will happen.
import { useState } from "preact/hooks";
import {
  addMemberRequest,
  curlLine,
  leaderRequest,
  removeMemberRequest,
  shellWord,
  snapshotRequest,
  type Cluster,
  type Member,
} from "./api";
import { connection, send } from "./connection";
import { CopyButton } from "./copy";
import { Confirm } from "./dialog";
import { isSilent } from "./health";

interface Common {
  base: string;
  cluster: Cluster;
  onClose(): void;
}

/** As it was when the dialog was opened: what it tells doesn't change while it is read, nor by what it does. */
function useFrozen<T>(value: T): T {
  return useState(value)[0];
}

export function LeadDialog({ base, cluster, member, onClose }: Common & { member: Member }) {
  const asked = useFrozen({ base, leader: cluster.leader });
  const request = leaderRequest(member.id);
  return (
    <Confirm
      title={`Hand leadership to node ${member.id}?`}
      action="Hand over"
      disabled={cluster.leader === 0}
      onClose={onClose}
      run={async () => {
        await send(request);
        return `Node ${member.id} leads.`;
      }}
    >
      {asked.leader === 0 ? (
        <p>There is no leader that could hand over: the voters elect one as soon as a majority of them is up.</p>
      ) : (
        <p>
          Node {asked.leader} stops taking writes, brings node {member.id} up to date and lets it campaign. Writes wait for
          a few milliseconds; if it doesn't succeed, the old leader goes on.
        </p>
      )}
      <CopyButton text={() => curlLine(asked.base, request)} />
    </Confirm>
  );
}

/** What the voters that are left can stand. Pure. */
export function votersLeftText(cluster: Cluster, without: number): string {
  const left = cluster.members.filter((other) => other.role === "voter" && other.id !== without);
  const silent = left.filter((other) => other.id !== cluster.node && isSilent(other)).length;
  const majority = Math.floor(left.length / 2) + 1;
  const spare = left.length - silent - majority;
  const voters = `${left.length} voter${left.length === 1 ? " is" : "s are"} left`;
  const heard = silent > 0 ? ` (${silent} of them not heard from)` : "";
  const outlook = spare < 0 ? "so nothing could be written" : `so ${spare} may fail`;
  return `${voters}${heard}: ${majority} of them must then be up for writes, ${outlook}.`;
}

export function RemoveDialog({ base, cluster, member, onClose }: Common & { member: Member }) {
  // What it tells of the others is as new as it can be, up to the moment in which it is done.
  const [done_with, setDoneWith] = useState<Cluster | null>(null);
  const told = done_with ?? cluster;
  const request = removeMemberRequest(member.id);
  const is_voter = member.role === "voter";
  const last = is_voter && !told.members.some((other) => other.role === "voter" && other.id !== member.id);
  const silent = member.id !== told.node && isSilent(told.members.find((other) => other.id === member.id) ?? member);
  if (last) {
    return (
      <Confirm
        title={`Remove node ${member.id}?`}
        action="Remove"
        dangerous
        disabled
        onClose={onClose}
        run={async () => ""}
      >
        <p>It is the last voter and can't be removed.</p>
      </Confirm>
    );
  }
  return (
    <Confirm
      title={`Remove node ${member.id}?`}
      action="Remove"
      dangerous
      onClose={onClose}
      run={async () => {
        setDoneWith(cluster);
        await send(request);
        return `Node ${member.id} is no longer a member.`;
      }}
    >
      <p>
        {silent
          ? "It isn't heard from and can't be told: should it still run somewhere, stop it yourself."
          : "It is told and ends by itself; its data stays on its disk."}{" "}
        Its id can't be used again. {is_voter && votersLeftText(told, member.id)}
        {member.id === told.leader && " It leads: it hands over first."}
      </p>
      <CopyButton text={() => curlLine(base, request)} />
    </Confirm>
  );
}

const id_max = 2n ** 63n;

/** What is wrong with a member that is to be added; null: nothing. Pure. */
export function memberProblem(id: string, raft: string): string | null {
  if (!/^[1-9]\d{0,18}$/.test(id) || BigInt(id) > id_max) return "The id is a whole number from 1 on.";
  return /^\S+:\d{1,5}$/.test(raft) ? null : "A Raft address HOST:PORT is needed.";
}

/** The command that starts the new member; `http` empty: the Raft address's host with the port of `join`. Pure. */
export function startLine(id: string, raft: string, http: string, join: string): string {
  const host = raft.replace(/:\d*$/, "");
  const port = /:(\d+)$/.exec(join)?.[1] ?? "8080";
  const own_http = http || `${host || "HOST"}:${port}`;
  const words = ["cairn", "serve", "--id", id, "--data-dir", `cairn-${id}`, "--http", own_http];
  return [...words, "--raft", raft || "HOST:7080", "--join", join].map(shellWord).join(" ");
}

export function AddDialog({ base, cluster, onClose }: Common) {
  const asked = useFrozen({ base, cluster });
  const highest = Math.max(...asked.cluster.members.map((member) => member.id), ...asked.cluster.removed);
  const [id, setId] = useState(String(highest + 1));
  const [raft, setRaft] = useState("");
  const [http, setHttp] = useState("");
  const [learner, setLearner] = useState(false);
  const wrong = memberProblem(id, raft);
  const request = () => addMemberRequest(id, raft, learner);
  const join = asked.cluster.members.find((member) => member.id === asked.cluster.node)?.http ?? location.host;
  const start = startLine(id, raft, http, join);
  return (
    <Confirm
      title="Add a member"
      action="Add"
      onClose={onClose}
      run={async () => {
        if (wrong) throw new Error(wrong);
        await send(request());
        return `Node ${id} is a member. Start it with the command above.`;
      }}
    >
      <p>
        It begins as a learner, which counts in no majority, and gets all data. Once it keeps up it becomes a voter by
        itself. The command below is enough: started with --join, the node asks to be added. Adding it here first only
        says so beforehand.
      </p>
      <div class="bar">
        <label>
          Id{" "}
          <input
            class="short"
            inputMode="numeric"
            value={id}
            onInput={(event) => setId(event.currentTarget.value.trim())}
          />
        </label>
        <label>
          Raft address{" "}
          <input placeholder="10.0.0.4:7080" value={raft} onInput={(event) => setRaft(event.currentTarget.value.trim())} />
        </label>
        <label>
          HTTP address{" "}
          <input placeholder="the same host" value={http} onInput={(event) => setHttp(event.currentTarget.value.trim())} />
        </label>
        <label class="check">
          <input type="checkbox" checked={learner} onChange={() => setLearner(!learner)} /> stays a learner
        </label>
      </div>
      <p>Start it with:</p>
      <pre tabIndex={0}>{start}</pre>
      <CopyButton text={() => start} label="Copy command" />{" "}
      {!wrong && <CopyButton text={() => curlLine(asked.base, request())} />}
    </Confirm>
  );
}

export function SnapshotDialog({ base, cluster, onClose }: Common) {
  const asked = useFrozen({ base, node: cluster.node });
  const request = snapshotRequest();
  return (
    <Confirm
      title={`Take a snapshot on node ${asked.node}?`}
      action="Take it"
      onClose={onClose}
      run={async () => {
        const answer = (await (await send(request)).json()) as { index?: number; snapshot_index?: number };
        return `Taken: everything up to index ${answer.index ?? answer.snapshot_index} is in it.`;
      }}
    >
      <p>The node writes its state to its disk and trims its log behind it. It goes on working meanwhile.</p>
      <CopyButton text={() => curlLine(asked.base, request)} />
    </Confirm>
  );
}

export function BackupDialog({ base, cluster, onClose }: Common) {
  const asked = useFrozen({ base, node: cluster.node });
  const path = "/v1/cluster/backup";
  return (
    <Confirm
      title="Download a backup?"
      action="Download"
      onClose={onClose}
      run={async () => {
        // A refusal would otherwise be a file, or stand where this page was.
        const answer = (await (await send({ method: "GET", path: "/v1/cluster" })).json()) as Cluster;
        if (!answer.ready) throw new Error(`Node ${answer.node} isn't ready, so it can't give a backup now.`);
        const link = document.createElement("a");
        link.href = connection.get().base + path;
        link.download = "";
        link.target = "_blank";
        link.rel = "noopener";
        document.body.append(link);
        link.click();
        link.remove();
        return "The browser is downloading it.";
      }}
    >
      <p>
        One file with every value of this moment, checked by node {asked.node} while it is sent. It is as secret as the values.
        <code> cairn restore FILE --data-dir DIR</code> makes a new cluster of it.
      </p>
      <CopyButton text={() => `curl -fOJ '${asked.base}${path}'`} />
    </Confirm>
  );
}
