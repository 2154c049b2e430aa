// Who hears whom: a table of the links between members, each as its two ends see it.
import type { Cluster } from "./api";
import { milliseconds } from "./format";
import { isSilent } from "./history_log";

export interface LinkCell {
  kind: "good" | "one-way" | "cut" | "unknown" | "self";
  text: string;
}

/** What `row` says of its link with `column`; `views` are the members' own answers. Pure. */
export function linkCell(views: ReadonlyMap<number, Cluster>, row: number, column: number): LinkCell {
  if (row === column) return { kind: "self", text: "" };
  const heard = views.get(row)?.members.find((member) => member.id === column);
  const other = views.get(column)?.members.find((member) => member.id === row);
  if (!heard || (heard.last_contact_ms === undefined && heard.state === "unknown")) return { kind: "unknown", text: "?" };
  const silent = isSilent(heard.state, heard.last_contact_ms);
  const other_silent = other && other.state !== "unknown" && isSilent(other.state, other.last_contact_ms);
  if (silent) {
    const one_way = other !== undefined && other.state !== "unknown" && !other_silent;
    return { kind: one_way ? "one-way" : "cut", text: one_way ? "hears nothing, is heard" : "hears nothing" };
  }
  if (other_silent) return { kind: "one-way", text: "hears, is not heard" };
  return { kind: "good", text: heard.rtt_ms === undefined ? "hears" : milliseconds(heard.rtt_ms) };
}

export function LinksView({ cluster, views }: { cluster: Cluster; views: ReadonlyMap<number, Cluster> }) {
  const ids = cluster.members.map((member) => member.id);
  return (
    <div class="panel">
      <h2>Links</h2>
      <p class="note">Round trip as the node on the left measures it. “?”: that node couldn't be asked, or has nothing to say to the other.</p>
      <div class="scroll" tabIndex={0} role="region" aria-label="Links between the members">
        <table class="links">
          <thead>
            <tr>
              <th scope="col">from</th>
              {ids.map((id) => (
                <th key={id} scope="col">
                  node {id}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {ids.map((row) => (
              <tr key={row}>
                <th scope="row">node {row}</th>
                {ids.map((column) => {
                  const cell = linkCell(views, row, column);
                  return (
                    <td key={column} class={`link ${cell.kind}`}>
                      {cell.text}
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}
