import { render } from "preact";
import { App } from "./app";
import "./style.css";
import "./cluster.css";
import "./lists.css";
import { startTheme } from "./theme";

startTheme();
const root = document.getElementById("app");
// In a frame of the page it only lends its policy (reach.ts).
if (root && window.parent === window) {
  root.textContent = "";
  render(<App />, root);
}
