import { createRoot } from "react-dom/client";
import { App } from "./app.js";
import { InterfaceProvider } from "./i18n/i18n.js";
import "./styles/base.css";
import "./styles/controls.css";
import "./styles/intake.css";
import "./styles/options.css";
import "./styles/captions.css";
import "./styles/past.css";
import "./styles/motion.css";

createRoot(document.getElementById("page")!).render(
  <InterfaceProvider>
    <App />
  </InterfaceProvider>,
);

// The page works without; it is for opening it without network.
navigator.serviceWorker?.register("sw.js").catch(() => {});
