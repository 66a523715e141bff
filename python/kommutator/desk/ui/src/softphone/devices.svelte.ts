/** Microphones and loudspeakers, and which of them are chosen in this browser. */

const MICROPHONE = "kommutator.microphone";
const SPEAKER = "kommutator.speaker";

class Devices {
  microphones = $state.raw<MediaDeviceInfo[]>([]);
  speakers = $state.raw<MediaDeviceInfo[]>([]);
  /** Ids; empty: the system's choice. */
  microphone = $state(localStorage.getItem(MICROPHONE) ?? "");
  speaker = $state(localStorage.getItem(SPEAKER) ?? "");

  /** Looks which there are, now and whenever one comes or goes, until what is returned is called. */
  watch(): () => void {
    const look = () => void this.look();
    look();
    navigator.mediaDevices.addEventListener("devicechange", look);
    return () => navigator.mediaDevices.removeEventListener("devicechange", look);
  }

  /** The chosen microphone's sound; another one's when that is not there. Throws what the browser says against it. */
  async listen(): Promise<MediaStream> {
    const exact = this.microphones.some((each) => each.deviceId === this.microphone);
    const audio = exact ? { deviceId: { exact: this.microphone } } : true;
    const stream = await navigator.mediaDevices.getUserMedia({ audio });
    void this.look(); // names of devices are told only to who may listen
    return stream;
  }

  /** Lets an element sound from the chosen loudspeaker; from the system's when that is not there. */
  async route(element: HTMLAudioElement): Promise<void> {
    if (!("setSinkId" in element)) return;
    const there = this.speakers.some((each) => each.deviceId === this.speaker);
    await element.setSinkId(there ? this.speaker : "").catch(() => undefined);
  }

  chooseMicrophone(id: string): void {
    this.microphone = id;
    localStorage.setItem(MICROPHONE, id);
  }

  chooseSpeaker(id: string): void {
    this.speaker = id;
    localStorage.setItem(SPEAKER, id);
  }

  private async look(): Promise<void> {
    const all = await navigator.mediaDevices.enumerateDevices().catch(() => []);
    const named = all.filter((each) => each.deviceId !== "" && each.deviceId !== "default");
    this.microphones = named.filter((each) => each.kind === "audioinput");
    this.speakers = named.filter((each) => each.kind === "audiooutput");
  }
}

export const devices = new Devices();
