// What an operator does to the cluster, each after a question that says what will happen.
import { useState } from "preact/hooks";
import {
  addMemberRequest,
  curlLine,
  leaderRequest,
  removeMemberRequest,
  snapshotRequest,
  type Cluster,
  type Member,
} from "./api";
import { send } from "./connection";
import { CopyButton } from "./copy";
import { Confirm } from "./dialog";

interface Common {
  base: string;
  cluster: Cluster;
  onClose(): void;
}

export function LeadDialog({ base, cluster, member, onClose }: Common & { member: Member }) {
  const request = leaderRequest(member.id);
  return (
    <Confirm
      title={`Hand leadership to node ${member.id}?`}
      action="Hand over"
      onClose={onClose}
      run={async () => {
        await send(request);
        return `Node ${member.id} leads.`;
      }}
    >
      <p>
        Node {cluster.leader || "?"} stops taking writes, brings node {member.id} up to date and lets it campaign. Writes wait for a
        few milliseconds; if it doesn't succeed, the old leader goes on.
      </p>
      <CopyButton text={() => curlLine(base, request)} />
    </Confirm>
  );
}

export function RemoveDialog({ base, cluster, member, onClose }: Common & { member: Member }) {
  const request = removeMemberRequest(member.id);
  const voters = cluster.members.filter((other) => other.role === "voter" && other.id !== member.id).length;
  const majority = Math.floor(voters / 2) + 1;
  return (
    <Confirm
      title={`Remove node ${member.id}?`}
      action="Remove"
      dangerous
      onClose={onClose}
      run={async () => {
        await send(request);
        return `Node ${member.id} is no longer a member.`;
      }}
    >
      <p>
        It is told and ends by itself; its data stays on its disk. Its id can't be used again.{" "}
        {member.role === "voter" &&
          `${voters} voter${voters === 1 ? " is" : "s are"} left: ${majority} of them must then be up for writes, so ${
            voters - majority
          } may fail.`}
        {member.id === cluster.leader && " It leads: it hands over first."}
      </p>
      <CopyButton text={() => curlLine(base, request)} />
    </Confirm>
  );
}

export function AddDialog({ base, cluster, onClose }: Common) {
  const highest = Math.max(...cluster.members.map((member) => member.id), ...cluster.removed);
  const [id, setId] = useState(String(highest + 1));
  const [raft, setRaft] = useState("");
  const [learner, setLearner] = useState(false);
  const request = () => addMemberRequest(Number(id), raft, learner);
  const join = cluster.members.find((member) => member.id === cluster.node)?.http ?? location.host;
  const start = `cairn serve --id ${id} --data-dir cairn-${id} --http HOST:8080 --raft ${raft || "HOST:7080"} --join ${join}`;
  return (
    <Confirm
      title="Add a member"
      action="Add"
      onClose={onClose}
      run={async () => {
        if (!/^[1-9]\d{0,18}$/.test(id) || !/.+:\d+$/.test(raft)) throw new Error("An id and a Raft address HOST:PORT are needed.");
        await send(request());
        return `Node ${id} is a member. Start it with the command above.`;
      }}
    >
      <p>
        It begins as a learner, which counts in no majority, and gets all data. Once it keeps up it becomes a voter by itself. The
        command below is enough: started with --join, the node asks to be added. Adding it here first only says so beforehand.
      </p>
      <div class="bar">
        <label>
          Id <input class="short" inputMode="numeric" value={id} onInput={(event) => setId(event.currentTarget.value)} />
        </label>
        <label>
          Raft address{" "}
          <input placeholder="10.0.0.4:7080" value={raft} onInput={(event) => setRaft(event.currentTarget.value)} />
        </label>
        <label class="check">
          <input type="checkbox" checked={learner} onChange={() => setLearner(!learner)} /> stays a learner
        </label>
      </div>
      <p>Start it with:</p>
      <pre tabIndex={0}>{start}</pre>
      <CopyButton text={() => start} label="Copy command" /> <CopyButton text={() => curlLine(base, request())} />
    </Confirm>
  );
}

export function SnapshotDialog({ base, cluster, onClose }: Common) {
  const request = snapshotRequest();
  return (
    <Confirm
      title={`Take a snapshot on node ${cluster.node}?`}
      action="Take it"
      onClose={onClose}
      run={async () => {
        const answer = (await (await send(request)).json()) as { index?: number; snapshot_index?: number };
        return `Taken: everything up to index ${answer.index ?? answer.snapshot_index} is in it.`;
      }}
    >
      <p>The node writes its state to its disk and trims its log behind it. It goes on working meanwhile.</p>
      <CopyButton text={() => curlLine(base, request)} />
    </Confirm>
  );
}

export function BackupDialog({ base, cluster, onClose }: Common) {
  const path = "/v1/cluster/backup";
  return (
    <Confirm
      title="Download a backup?"
      action="Download"
      onClose={onClose}
      run={async () => {
        const link = document.createElement("a");
        link.href = base + path;
        link.download = "";
        document.body.append(link);
        link.click();
        link.remove();
        return "The browser is downloading it.";
      }}
    >
      <p>
        One file with every value of this moment, checked by node {cluster.node} while it is sent. It is as secret as the values.
        <code> cairn restore FILE --data-dir DIR</code> makes a new cluster of it.
      </p>
      <CopyButton text={() => `curl -fOJ '${base}${path}'`} />
    </Confirm>
  );
}
