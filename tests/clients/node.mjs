import { EventSource } from "eventsource";
import { follow } from "./follow.js";

follow(EventSource, ...process.argv.slice(2));
