// Who hears whom: a table of the links between members, each as its two ends see it.
import type { Cluster } from "./api";
import { milliseconds } from "./format";

export interface LinkCell {
  kind: "good" | "one-way" | "cut" | "unknown" | "self";
  text: string;
}

/** What `row` says of its link with `column`; `views` are the members' own answers. Pure. */
export function linkCell(views: ReadonlyMap<number, Cluster>, row: number, column: number): LinkCell {
  if (row === column) return { kind: "self", text: "" };
  const heard = views.get(row)?.members.find((member) => member.id === column);
  if (!heard || heard.hears === undefined) return { kind: "unknown", text: "?" };
  if (!heard.hears) {
    return heard.reaches ? { kind: "one-way", text: "hears nothing, is heard" } : { kind: "cut", text: "hears nothing" };
  }
  if (heard.reaches === false) return { kind: "one-way", text: "hears, is not heard" };
  return { kind: "good", text: heard.rtt_ms === undefined ? "hears" : milliseconds(heard.rtt_ms) };
}

export function LinksView({ cluster, views }: { cluster: Cluster; views: ReadonlyMap<number, Cluster> }) {
  const ids = cluster.members.map((member) => member.id);
  return (
    <div class="panel">
      <h2>Links</h2>
      <p class="note">Round trip as the node on the left measures it. “?”: that node couldn't be asked.</p>
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
