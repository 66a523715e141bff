/** The telephone's bell, made of two tones: one second of sound, three of silence. */

const TONES_HZ = [440, 480];
const SOUND_S = 1;
const ROUND_S = 4;
const LOUDNESS = 0.12;

/** Rings until what is returned is called. `silent` is told when the browser lets no sound out before the page is touched. */
export function ring(silent: () => void): () => void {
  const context = new AudioContext();
  const gain = new GainNode(context, { gain: 0 });
  gain.connect(context.destination);
  for (const frequency of TONES_HZ) {
    const tone = new OscillatorNode(context, { frequency });
    tone.connect(gain);
    tone.start();
  }
  const once = () => {
    const from = context.currentTime;
    gain.gain.cancelScheduledValues(from);
    gain.gain.setTargetAtTime(LOUDNESS, from, 0.02);
    gain.gain.setTargetAtTime(0, from + SOUND_S, 0.05);
  };
  once();
  const again = setInterval(once, ROUND_S * 1000);
  const touched = () => void context.resume();
  if (context.state === "suspended") {
    silent();
    addEventListener("pointerdown", touched);
    addEventListener("keydown", touched);
  }
  return () => {
    clearInterval(again);
    removeEventListener("pointerdown", touched);
    removeEventListener("keydown", touched);
    void context.close();
  };
}
