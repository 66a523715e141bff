/**
 * The telephone in the browser: it registers at the PBX like any other, rings, and carries speech.
 *
 * What becomes of a call is told to the desk by the PBX, as with a telephone on the table; nothing here tells the wizard
 * anything. One tab of a browser has the telephone; when it is closed, another takes it.
 */

import type { RTCSession } from "jssip/lib/RTCSession";
import type { UA } from "jssip/lib/UA";

import { api, got } from "../api/client";
import { persistently } from "../api/retry";
import { t } from "../base/i18n.svelte";
import { tell } from "../base/toasts.svelte";
import { devices } from "./devices.svelte";
import { picksUpItself, sameNumber } from "./invite";
import { ring } from "./ringtone";

/**
 * `none`: the employee has no softphone, or it is not known yet. `off`: he has not switched it on in this browser.
 * `elsewhere`: another tab has it. `refused`: the PBX does not take him, which is tried again.
 */
export type Registration =
  | "none"
  | "not_configured"
  | "off"
  | "elsewhere"
  | "connecting"
  | "registered"
  | "unreachable"
  | "refused"
  | "no_microphone";

export interface OnPhone {
  /** As the PBX shows it; empty: withheld. */
  number: string;
  phase: "ringing" | "answering" | "talking";
  /** Milliseconds since the epoch: when it began to ring, then to talk. */
  since: number;
  muted: boolean;
  held: boolean;
}

const SWITCHED_ON = "kommutator.softphone";
const LOCK = "kommutator.softphone";
const EXPIRES_S = 120;
const AGAIN_S = { connection_recovery_min_interval: 1, connection_recovery_max_interval: 15 };
const REFUSED_AGAIN_MS = 15_000;
/** Addresses of this machine are found at once; whatever is found later than this is not waited for. */
const GATHERED_MS = 300;
const BUSY = 486;
const DECLINED = 603;
const UNAVAILABLE = 480;

class Softphone {
  registration = $state<Registration>("none");
  call = $state<OnPhone | null>(null);
  /** The browser lets no bell out before the page is touched. */
  silenced = $state(false);
  /** Where the other side is heard. */
  speaker: HTMLAudioElement | undefined;

  private session: RTCSession | null = null;
  private microphone: MediaStream | null = null;
  private stopBell: (() => void) | null = null;
  private running: AbortController | null = null;

  /** Begins for whoever is signed in; ends when what is returned is called. */
  start(): () => void {
    const life = new AbortController();
    void persistently(() => got(api.GET("/api/me/softphone")), Number.POSITIVE_INFINITY)
      .then(({ state }) => {
        if (life.signal.aborted || state === "off") return;
        this.registration = state === "ready" ? "off" : state;
        if (state === "ready" && localStorage.getItem(SWITCHED_ON) !== null) this.run();
      })
      .catch(() => undefined);
    const leave = () => this.stop();
    const stay = (event: BeforeUnloadEvent) => {
      if (this.call?.phase === "talking") event.preventDefault();
    };
    addEventListener("pagehide", leave);
    addEventListener("beforeunload", stay);
    const unwatch = "mediaDevices" in navigator ? devices.watch() : () => undefined;
    return () => {
      life.abort();
      removeEventListener("pagehide", leave);
      removeEventListener("beforeunload", stay);
      unwatch();
      this.stop();
      this.registration = "none";
    };
  }

  /** Switches it on in this browser; the browser asks its user for the microphone. */
  async switchOn(): Promise<void> {
    try {
      const stream = await devices.listen();
      stream.getTracks().forEach((track) => track.stop());
    } catch {
      this.registration = "no_microphone";
      return;
    }
    localStorage.setItem(SWITCHED_ON, "on");
    this.run();
  }

  /** Switches it off in this browser. */
  switchOff(): void {
    localStorage.removeItem(SWITCHED_ON);
    this.stop();
    this.registration = "off";
  }

  /** Picks up what rings. */
  async answer(): Promise<void> {
    const session = this.session;
    if (session === null || this.call?.phase !== "ringing") return;
    this.call.phase = "answering";
    this.quiet();
    try {
      const microphone = await devices.listen();
      if (session !== this.session) {
        microphone.getTracks().forEach((track) => track.stop());
        return;
      }
      this.microphone = microphone;
      session.answer({ mediaStream: microphone });
    } catch {
      if (session !== this.session) return;
      tell(t("softphone.no_microphone"), "bad");
      session.terminate({ status_code: UNAVAILABLE });
    }
  }

  /** Picks up when this is what rings here: the number on a card's display. False when it is not. */
  answers(number: string | null): boolean {
    if (this.call?.phase !== "ringing" || !sameNumber(this.call.number, number)) return false;
    void this.answer();
    return true;
  }

  /** Ends the call, or declines it. */
  hangUp(): void {
    const ringing = this.call?.phase === "ringing";
    if (this.session !== null && !this.session.isEnded()) {
      this.session.terminate(ringing ? { status_code: DECLINED } : {});
    }
  }

  mute(): void {
    if (this.session === null || this.call?.phase !== "talking") return;
    if (this.call.muted) this.session.unmute({ audio: true });
    else this.session.mute({ audio: true });
    this.call.muted = this.session.isMuted().audio === true;
  }

  hold(): void {
    if (this.session === null || this.call?.phase !== "talking") return;
    if (this.call.held) this.session.unhold();
    else this.session.hold();
  }

  /** One key: a digit, `*` or `#`. */
  press(key: string): void {
    if (this.call?.phase !== "talking" || this.session === null) return;
    const sender = this.session.connection.getSenders().find((each) => each.dtmf?.canInsertDTMF);
    sender?.dtmf?.insertDTMF(`${sender.dtmf.toneBuffer}${key}`, 120, 60);
  }

  async chooseMicrophone(id: string): Promise<void> {
    devices.chooseMicrophone(id);
    if (this.call?.phase !== "talking" || this.session === null) return;
    const [track] = (await devices.listen()).getAudioTracks();
    if (track === undefined) return;
    track.enabled = !this.call.muted && !this.call.held;
    await this.session.connection.getSenders()[0]?.replaceTrack(track);
    this.microphone?.getTracks().forEach((each) => each.stop());
    this.microphone = new MediaStream([track]);
  }

  async chooseSpeaker(id: string): Promise<void> {
    devices.chooseSpeaker(id);
    if (this.speaker) await devices.route(this.speaker);
  }

  private run(): void {
    this.stop();
    const running = new AbortController();
    this.running = running;
    this.registration = "elsewhere";
    navigator.locks
      .request(LOCK, { signal: running.signal }, () => this.registered(running.signal))
      .catch(() => undefined); // switched off while another tab had it
  }

  private stop(): void {
    this.running?.abort();
    this.running = null;
  }

  /** Registers, and stays until told to stop. */
  private async registered(stop: AbortSignal): Promise<void> {
    this.registration = "connecting";
    const { UA, WebSocketInterface } = await import("jssip");
    while (!stop.aborted) {
      const account = (await persistently(() => got(api.GET("/api/me/softphone")), Number.POSITIVE_INFINITY)).account;
      if (account === null) {
        this.registration = "none";
        return;
      }
      if (stop.aborted) return;
      const ua = new UA({
        sockets: new WebSocketInterface(account.url),
        uri: account.uri,
        authorization_user: account.user,
        password: account.password,
        register_expires: EXPIRES_S,
        session_timers: false,
        user_agent: "Kommutator softphone",
        ...AGAIN_S,
      });
      await this.untilRefused(ua, stop);
      if (!stop.aborted) await new Promise((done) => setTimeout(done, REFUSED_AGAIN_MS));
    }
  }

  /** Until the PBX refuses this account, or told to stop. A broken connection is made anew meanwhile. */
  private async untilRefused(ua: UA, stop: AbortSignal): Promise<void> {
    await new Promise<void>((done) => {
      stop.addEventListener("abort", () => done(), { once: true });
      ua.on("registered", () => (this.registration = "registered"));
      ua.on("disconnected", () => {
        if (!stop.aborted) this.registration = "unreachable";
      });
      ua.on("registrationFailed", ({ response }) => {
        if (stop.aborted) return;
        // Without an answer it is the connection, which JsSIP looks after.
        this.registration = response ? "refused" : "unreachable";
        if (response) done();
      });
      ua.on("newRTCSession", ({ originator, session, request }: Parameters<Coming>[0]) => {
        if (originator === "remote") this.comes(session, request);
      });
      ua.start();
    });
    this.hangUp();
    ua.stop();
  }

  private comes(session: RTCSession, request: Parameters<Coming>[0]["request"]): void {
    const itself = picksUpItself(request);
    // The desk's order to answer rings anew: that call takes the place of the one that rings.
    if (this.call !== null && !(itself && this.call.phase === "ringing")) {
      session.terminate({ status_code: BUSY });
      return;
    }
    this.quiet();
    this.session = session;
    const number = session.remote_identity.uri.user ?? "";
    this.call = { number, phase: "ringing", since: Date.now(), muted: false, held: false };
    this.follow(session);
    if (itself) void this.answer();
    else this.stopBell = ring(() => (this.silenced = true));
  }

  private follow(session: RTCSession): void {
    const mine = (change: (call: OnPhone) => void) => () => {
      if (session === this.session && this.call !== null) change(this.call);
    };
    session.on("peerconnection", ({ peerconnection }) => this.hear(session, peerconnection));
    session.on("icecandidate", ({ ready }) => setTimeout(ready, GATHERED_MS));
    session.on(
      "confirmed",
      mine((call) => {
        call.phase = "talking";
        call.since = Date.now();
      }),
    );
    session.on("hold", ({ originator }) => originator === "local" && mine((call) => (call.held = true))());
    session.on("unhold", ({ originator }) => originator === "local" && mine((call) => (call.held = false))());
    session.on("ended", () => this.over(session));
    session.on("failed", () => this.over(session));
  }

  private hear(session: RTCSession, connection: RTCPeerConnection): void {
    connection.addEventListener("track", ({ track, streams }) => {
      if (session !== this.session || this.speaker === undefined) return;
      this.speaker.srcObject = streams[0] ?? new MediaStream([track]);
      void devices.route(this.speaker);
      void this.speaker.play().catch(() => (this.silenced = true));
    });
    connection.addEventListener("connectionstatechange", () => {
      if (session === this.session && connection.connectionState === "failed") tell(t("softphone.no_sound"), "bad");
    });
  }

  private over(session: RTCSession): void {
    if (session !== this.session) return;
    this.quiet();
    this.session = null;
    this.call = null;
    this.microphone?.getTracks().forEach((track) => track.stop());
    this.microphone = null;
    if (this.speaker) this.speaker.srcObject = null;
  }

  private quiet(): void {
    this.stopBell?.();
    this.stopBell = null;
    this.silenced = false;
  }
}

type Coming = import("jssip/lib/UA").IncomingRTCSessionListener;

export const phone = new Softphone();
