import { mount } from "svelte";

import App from "./App.svelte";
import { lang, speak } from "./base/i18n.svelte";
import { follow } from "./base/look.svelte";
import "./ui/tokens.css";
import "./ui/base.css";

follow();
speak(lang());
mount(App, { target: document.getElementById("app")! });
