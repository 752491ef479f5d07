import "uplot/dist/uPlot.min.css";
import "./style.css";
import { render } from "preact";
import { App } from "./app.tsx";
import { LiveConnection } from "./live.ts";

const live = new LiveConnection();
render(<App live={live} />, document.getElementById("app") as HTMLElement);
