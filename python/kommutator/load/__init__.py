"""Load for whatever answers calls: arrivals that wait for nobody, latencies from the moment a call was due, answers checked."""
